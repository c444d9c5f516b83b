"""The dial on a finished run: what it measures, what it offers, what it writes."""

import json
from pathlib import Path
from typing import Any

import pytest

from tunewell.dial import best_alpha, turn_dial
from tunewell.errors import ModelError, RecipeError, UserError
from tunewell.model.lineage import read_lineage
from tunewell.pipeline import run_recipe
from tunewell.recipe import load_recipe

_QUICK = ["evaluate.constraints=0", "evaluate.leakage=0", "evaluate.brittleness=0", "train.epochs=1", "evaluate.retention=40"]


def _rows(*values: tuple[float, float, str]) -> list[dict[str, Any]]:
    return [{"alpha": alpha, "domain": {"tuned": domain}, "retention": {"verdict": verdict}} for alpha, domain, verdict in values]


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        (_rows((0, 0.1, "pass"), (0.5, 0.3, "pass"), (1, 0.4, "fail")), 0.5),
        (_rows((0, 0.1, "pass"), (0.5, 0.3, "pass"), (1, 0.4, "pass")), 1),
        (_rows((0, 0.1, "pass"), (0.5, 0.1, "pass"), (1, 0.4, "inconclusive")), 0),
        (_rows((0, 0.1, "inconclusive"), (1, 0.4, "fail")), None),
    ],
)
def test_the_best_value_is_the_best_on_the_domain_of_those_that_pass(rows: list[dict[str, Any]], best: float | None) -> None:
    assert best_alpha(rows) == best


def test_a_run_is_measured_once_and_the_best_value_is_saved(recipe_path: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run_recipe(load_recipe(recipe_path, _QUICK), run, until="train")
    measured: list[float] = []
    table = turn_dial(run, values=3, measured=measured.append)
    assert measured == [0, 0.5, 1]
    assert [row["alpha"] for row in table["rows"]] == [0, 0.5, 1]
    nothing, half, whole = table["rows"]
    assert (nothing["domain"]["difference"], nothing["retention"]["difference"]) == (0, 0)
    assert nothing["retention"]["verdict"] == "pass"
    assert len({row["retention"]["tuned"] for row in table["rows"]}) == 3
    assert abs(half["retention"]["difference"]) < abs(whole["retention"]["difference"])
    assert table["saved"] is None
    assert (run / "dial" / "dial.md").read_text().count("\n| ") == 4

    again = turn_dial(run, values=3, save=True, measured=measured.append)
    assert measured == [0, 0.5, 1], "it is made"
    assert again["saved"] == str(run / "dial" / "adapter")
    lineage = read_lineage(run / "dial" / "adapter")
    assert lineage is not None
    assert lineage["alpha"] == table["best"]
    assert json.loads((run / "dial" / "dial.json").read_text()) == {name: value for name, value in table.items() if name != "saved"}


def test_the_whole_change_scores_as_the_evaluation_found(recipe_path: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run_recipe(load_recipe(recipe_path, [*_QUICK, "train.method=full"]), run, until="gate")
    claims = {claim["name"]: claim for claim in json.loads((run / "metrics.json").read_text())["claims"]}
    row = turn_dial(run, values=2)["rows"][-1]
    for part, name in (("domain", "domain_gain"), ("retention", "retention")):
        assert (row[part]["n"], row[part]["difference"]) == (claims[name]["n"], claims[name]["difference"])


def test_what_cannot_be_turned_is_refused(recipe_path: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="this is no run"):
        turn_dial(tmp_path)
    run = tmp_path / "run"
    run_recipe(load_recipe(recipe_path, [*_QUICK, "evaluate.retention=0"]), run, until="mix")
    with pytest.raises(ModelError, match="there is no trained model here"):
        turn_dial(run)
    run_recipe(load_recipe(recipe_path, [*_QUICK, "evaluate.retention=0"]), run, until="train")
    with pytest.raises(RecipeError, match=r"evaluate\.retention: 0 turns off what the dial is for"):
        turn_dial(run)
