"""The stage's own part in judging: which items are judged, and where their scores go."""

import json
from pathlib import Path
from typing import Literal

import pytest

from tests.evaluate.judging import judge_at, serving
from tests.teacher.conftest import KEY_VARIABLE
from tests.teacher.server import KEY
from tunewell.evaluate.asks import Ask
from tunewell.evaluate.stage import _judged
from tunewell.recipe import Judge, Recipe
from tunewell.records import Message, Result


def _ask(number: int, variant: str) -> Ask:
    name = f"{variant}-{number}"
    question = (Message("user", f"How long does step {number} take?"),)
    return Ask("domain", variant, name, name, "en", question, f"It takes {number} days.")


def _results(asks: list[Ask]) -> list[Result]:
    names: tuple[Literal["base", "tuned"], ...] = ("base", "tuned")
    return [
        Result("domain", ask.variant, ask.item, ask.family, "en", name, ask.prompt, ask.reference, answer, {"rouge_l": 0.5})
        for name in names
        for ask in asks
        for answer in ["No idea at all." if name == "base" else f"Surely. {ask.reference}"]
    ]


def test_nobody_judges_unless_the_recipe_names_one(tmp_path: Path) -> None:
    results = _results([_ask(1, "seen")])
    assert _judged(results, [], Recipe(), tmp_path) is results
    assert not list(tmp_path.iterdir())


def test_so_many_items_of_each_slice_get_a_score_and_the_health_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    asks = [_ask(number, variant) for variant in ("seen", "unseen") for number in (1, 2, 3)]
    with serving(tmp_path) as server:
        recipe = Recipe(judge=Judge(by=[judge_at(server)], mode="score", items=2, agreement=0))
        judged = _judged(_results(asks), asks, recipe, tmp_path)
    scored = {(result.model, result.item): result.measures.get("judge_score") for result in judged}
    for ask in asks:
        expected = (None, None) if ask.item.endswith("3") else (1.0, 5.0)
        assert (scored["base", ask.item], scored["tuned", ask.item]) == expected
    assert all(result.measures["rouge_l"] == 0.5 for result in judged)
    health = json.loads((tmp_path / "judge.json").read_text(encoding="utf-8"))
    assert health["scores"]["difference"]["value"] == 4
