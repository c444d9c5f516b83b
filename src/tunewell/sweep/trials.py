"""What a sweep is made of: trials, each a recipe with a few keys changed and a run of its own."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tunewell.errors import RecipeError
from tunewell.recipe import Recipe, recipe_from_values, with_overrides


class Trial(NamedTuple):
    """One setting: its name in tables, the keys that it changes, and how far its run goes.

    One that does not go to the end is not scored: others, which say so in `needs`, start from it.
    """

    name: str
    changes: Mapping[str, Any]
    until: str = "report"
    needs: str = ""

    @property
    def folder_name(self) -> str:
        """The name of its folder."""
        return self.name.replace(":", "-").replace("/", "-")

    @property
    def is_scored(self) -> bool:
        """Whether it stands in the table."""
        return self.until == "report"


class Preset(NamedTuple):
    """A kind of sweep: its name, what a recipe must have for it, and its trials.

    `check` is called before anything is done, and raises `RecipeError`. `trials` is given the recipe, the folder of the main run,
    which has its mixture, and the folder of the sweep; it raises `DataError` where the mixture does not have what it takes.
    `is_curve` says that the trials differ by the number of domain rows alone.
    """

    name: str
    check: Callable[[Recipe], None]
    trials: Callable[[Recipe, Path, Path], Sequence[Trial]]
    is_curve: bool = False


class Planned(NamedTuple):
    """A trial under one seed: its recipe, or why there is none, and the folder of its run."""

    trial: Trial
    seed: int
    folder: Path
    recipe: Recipe | None
    error: str
    is_own: bool


def plan(preset: Preset, recipe: Recipe, run_dir: Path, folder: Path, *, seeds: int) -> list[Planned]:
    """Every trial under every seed, the recipe's own seed first and in the sweep's folder itself."""
    planned = []
    for seed in range(recipe.seed, recipe.seed + seeds):
        place = folder if seed == recipe.seed else folder / f"seed-{seed}"
        for trial in preset.trials(recipe, run_dir, place):
            changes = {**trial.changes, "seed": seed}
            changed, error = _change(recipe, changes, where=f"{preset.name}: {trial.name}", folder=run_dir)
            is_own = changed is not None and _values(changed) == _values(recipe)
            titled = changed and _with_title(changed, trial.name)
            planned.append(Planned(trial, seed, place / trial.folder_name, titled, error, is_own))
    return planned


def _values(recipe: Recipe) -> dict[str, Any]:
    return {name: value for name, value in recipe.model_dump(mode="json").items() if name != "seed"}


def _with_title(recipe: Recipe, name: str) -> Recipe:
    """Reports that bear a title of their own must be told apart; the others bear the name of the trial's folder."""
    if not recipe.report.title:
        return recipe
    return recipe.model_copy(update={"report": recipe.report.model_copy(update={"title": f"{recipe.report.title}: {name}"})})


def _change(recipe: Recipe, changes: Mapping[str, Any], *, where: str, folder: Path) -> tuple[Recipe | None, str]:
    # What the recipe does not say stays unsaid: an adapter that is trained on decides it.
    values = recipe.model_dump(mode="json", exclude_unset=True)
    overrides = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in changes.items()]
    try:
        return recipe_from_values(with_overrides(values, overrides, where=where), where=where, folder=folder), ""
    except RecipeError as error:
        return None, str(error)
