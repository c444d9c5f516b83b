"""Runs side by side: items are paired by what was asked, and what differs in recipes and rows is counted."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scipy import stats as scipy_stats
from typer.testing import CliRunner

from tunewell.cli.app import app
from tunewell.compare import compare_runs, recipe_changes
from tunewell.errors import DataError, UserError
from tunewell.pipeline import stage_folder
from tunewell.records import EXAMPLE_SCHEMA, RESULT_SCHEMA, Example, Message, Origin, Pool, Result, example_to_row, result_to_row
from tunewell.store import Manifest, write_rows

RECIPE = "model: m\ntrain:\n  rank: {rank}\nseed: 0\n"


def _answers(scores: Sequence[float], *, probability: float = 0.5) -> list[Result]:
    domain = [
        Result("domain", "paraphrase", f"{n}", f"family {n}", "en", "tuned", f"question {n}", "reference", "said", measures)
        for n, score in enumerate(scores)
        for measures in [{"rouge_l": score, "answer_loss": 2.0 - score}]
    ]
    kept = [
        Result(
            "retention", "logic", f"{n}", f"{n}", "en", "tuned", f"puzzle {n}", "", "", {"probability": probability, "correct": 1}
        )
        for n in range(9)
    ]
    base = [replace(result, model="base") for result in domain]
    return [*domain, *kept, *base]


def _row(number: int, pool: Pool) -> Example:
    return Example((Message("user", f"{pool} {number}?"), Message("assistant", "Yes.")), pool, Origin("file", number))


def _run(folder: Path, results: Sequence[Result], *, rank: int = 8, rows: Sequence[Example] = ()) -> Path:
    evaluated = stage_folder(folder, "evaluate")
    write_rows(evaluated / "results", RESULT_SCHEMA, map(result_to_row, results))
    write_rows(stage_folder(folder, "mix") / "train", EXAMPLE_SCHEMA, map(example_to_row, rows))
    (folder / "recipe.yaml").write_text(RECIPE.format(rank=rank), encoding="utf-8")
    Manifest("evaluate", "key", {}, {}, "digest", {}, 1.0, {}, 0, 0, {}).write(evaluated)
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    first = _answers([0.2, 0.4] * 10)
    second = [*_answers([0.5, 0.6] * 10)[:-1]]
    # One item is asked in other words, one is missing, one is new.
    second[0] = replace(second[0], prompt="another question 0")
    second[1] = replace(second[1], item="new")
    rows = [_row(number, "domain") for number in (1, 2, 2, 3)]
    one = _run(tmp_path / "a", first, rows=rows)
    other = _run(tmp_path / "b", second, rank=16, rows=[*rows[:3], _row(4, "domain"), _row(1, "open")])
    return [one, other]


def test_items_are_paired_by_what_was_asked(runs: list[Path]) -> None:
    table = compare_runs(runs, confidence=0.95)
    [pair] = table["pairs"]
    assert [pair[key] for key in ("items", "only_first", "only_second", "changed")] == [27, 1, 1, 1]
    measures = {measure["name"]: measure for measure in pair["measures"]}
    assert list(measures) == ["domain_gain", "domain_loss", "retention"]
    gain = measures["domain_gain"]
    # Left out are one pair of 0.2 and 0.5 and one of 0.4 and 0.6.
    assert [gain["n"], gain["first"], gain["second"], gain["difference"]] == pytest.approx([18, 0.3, 0.55, 0.25])
    half = scipy_stats.t.ppf(0.975, 17) * 0.05 / 17**0.5
    assert [gain["low"], gain["high"]] == pytest.approx([0.25 - half, 0.25 + half])
    assert gain["p_holm"] == pytest.approx(2 * gain["p"])
    assert [measures[name]["finding"] for name in measures] == ["better", "better", "too few items"]
    assert measures["retention"]["p"] is None


def test_the_other_way_round_better_is_worse(runs: list[Path]) -> None:
    [pair] = compare_runs(runs[::-1], confidence=0.95)["pairs"]
    assert [measure["finding"] for measure in pair["measures"]] == ["worse", "worse", "too few items"]


def test_a_run_against_itself_cannot_be_told_apart(runs: list[Path]) -> None:
    table = compare_runs([runs[0], runs[0], runs[0]], confidence=0.95)
    assert table["recipe"] == []
    for pair in table["pairs"]:
        assert {measure["finding"] for measure in pair["measures"]} == {"cannot be told", "too few items"}
        assert pair["rows"] == {"domain": {"both": 4, "only_first": 0, "only_second": 0}}


def test_recipes_and_rows_are_held_against_each_other(runs: list[Path]) -> None:
    table = compare_runs(runs, confidence=0.95)
    assert table["recipe"] == [{"key": "train.rank", "values": ("8", "16")}]
    assert table["pairs"][0]["rows"] == {
        "domain": {"both": 3, "only_first": 1, "only_second": 1},
        "open": {"both": 0, "only_first": 0, "only_second": 1},
    }


def test_a_key_of_one_recipe_alone_and_values_of_every_kind() -> None:
    one: dict[str, Any] = {"a": {"b": [1, 2], "c": None}, "only": "文"}
    other: dict[str, Any] = {"a": {"b": [1], "c": None, "d": {}}}
    found = [(change.key, *change.values) for change in recipe_changes([one, other])]
    assert found == [("a.b", "[1, 2]", "[1]"), ("only", "文", "–"), ("a.d", "–", "{}")]


def test_the_command_prints_tables_or_json(runs: list[Path]) -> None:
    shown = CliRunner().invoke(app, ["compare", *map(str, runs)], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert "train.rank" in shown.stdout
    assert "Items: 27 the same, 1 only in the first, 1 only in the second, 1 asked in other words." in shown.stdout
    assert "Training rows, domain: 3 the same, 1 only in the first, 1 only in the second." in shown.stdout
    done = CliRunner().invoke(app, ["compare", *map(str, runs), "--json"])
    table = json.loads(done.stdout.splitlines()[-1])
    assert table == json.loads(json.dumps(compare_runs(runs, confidence=0.95)))


def test_what_cannot_be_compared_is_one_clear_line(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to compare with"):
        compare_runs(runs[:1], confidence=0.95)
    with pytest.raises(UserError, match="this is no run"):
        compare_runs([runs[0], tmp_path / "nowhere"], confidence=0.95)
    (stage_folder(runs[1], "evaluate") / "manifest.json").unlink()
    with pytest.raises(DataError, match="this run is not evaluated"):
        compare_runs(runs, confidence=0.95)
