"""A recipe's part for this stage, from paths alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunewell.recipe import Recipe, recipe_from_values

Settings = Callable[..., Recipe]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    def build(on_error: str = "stop", **data: Any) -> Recipe:
        values = {"model": "not-here", "data": data, "collect": {"on_error": on_error}}
        return recipe_from_values(values, where="recipe.yaml", folder=tmp_path).part("data", "collect", "model", "train")

    return build
