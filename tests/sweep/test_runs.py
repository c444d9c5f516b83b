"""A sweep of trials whose runs are made up: what is asked, what dies, what stands in the table, and what is said of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.sweep.answers import shares
from tests.sweep.made_up import Worker
from tunewell.errors import DataError, MachineError, RecipeError
from tunewell.pipeline import only_one_process
from tunewell.recipe import load_recipe
from tunewell.sweep import Preset, Witness, continued, methods, ratios, runs, scales, sweep_trials
from tunewell.sweep import trials as trials_module
from tunewell.sweep.trials import Trial

_GOOD, _POOR = shares(40, 0.7, seed=1), shares(40, 0.2, seed=2)
_NEAR = [share + 0.01 * (-1) ** place for place, share in enumerate(_GOOD)]


@pytest.fixture(autouse=True)
def _main_run_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "run_recipe", lambda *_, **__: [])


def _sweep(recipe_path: Path, run: Path, worker: Worker, preset: Preset | None = None, **options: Any) -> dict[str, Any]:
    recipe = load_recipe(recipe_path, ["generate.replay=0", *options.pop("set_", ())])
    return sweep_trials(preset or methods(), recipe, run, work=worker, **options)


def test_what_the_data_tell_apart_and_what_they_do_not_is_said_in_both_languages(recipe_path: Path, tmp_path: Path) -> None:
    said: dict[str, Any] = {"lora": {"seconds": 20.0}, "qlora": {"seconds": 9.0, "memory": 1 << 29}}
    table = _sweep(recipe_path, tmp_path, Worker({"full": _POOR, "lora": _GOOD, "qlora": _NEAR}, **said))
    assert (table["sweep"], table["n"], table["families"], table["slice"], table["seeds"]) == ("method", 40, 40, "unseen", [0])
    first, *others = table["rows"]
    assert {first["trial"], others[0]["trial"]} == {"lora", "qlora"}
    assert others[-1]["trial"] == "full"
    assert first["behind"] is None
    assert [row["behind"]["told_apart"] for row in others] == [False, True]
    assert others[-1]["behind"]["low"] > 0
    assert others[-1]["bleu_behind"]["value"] > 0
    assert others[-1]["changes"] == {"train.method": "full", "train.learning_rate": 0.001}
    assert {row["trial"] for row in table["rows"] if row["own"]} == {"lora"}
    assert first["rows"] == {"domain": 30, "open": 10}
    assert first["retention"]["value"] == 0
    assert first["retention"]["n"] == 4

    conclusion = table["conclusion"]
    assert set(conclusion["level"]) == {"lora", "qlora"}
    told = f"The data tell from it: `full` ({others[-1]['behind']['value']:.3f} behind, 95 % interval "
    assert told in conclusion["text"]
    assert f"Not distinguishable from it: `{others[0]['trial']}`" in conclusion["text"]
    assert "`qlora` trained fastest (9.0 s) and needed least memory (0.50 GiB)" in conclusion["text"]
    assert "one training each" in conclusion["text"]
    needed = others[0]["behind"]["needed"]
    assert needed > 40
    assert f"; about {needed:,} items would settle it if the difference stays where it is)" in conclusion["text"]
    assert f"与它不可区分：`{others[0]['trial']}`" in conclusion["text_zh"]

    folder = tmp_path / "sweeps" / "method"
    assert json.loads((folder / "table.json").read_text(encoding="utf-8")) == table
    page = (folder / "table.md").read_text(encoding="utf-8")
    assert conclusion["text"] in page
    assert "- `full`: `train.method=full train.learning_rate=0.001`" in page
    assert "- `lora`: `train.method=lora train.learning_rate=0.01` (the recipe as it stands)" in page
    assert page.count("| `full` |") == 2
    chinese = _sweep(recipe_path, tmp_path, Worker({"full": _POOR, "lora": _GOOD, "qlora": _NEAR}), set_=["report.language=zh"])
    assert chinese["conclusion"]["text_zh"] in (folder / "table.md").read_text(encoding="utf-8")


def test_what_dies_is_noted_with_its_reason_and_tried_again(recipe_path: Path, tmp_path: Path) -> None:
    told: list[str] = []
    witness = Witness(died=lambda planned, reason: told.append(f"{planned.trial.name}: {reason}"))
    worker = Worker({"lora": _GOOD, "full": _GOOD}, dies={"qlora": "out of memory"})
    table = _sweep(recipe_path, tmp_path, worker, witness=witness)
    assert worker.asked == ["full:0", "lora:0", "qlora:0"]
    assert [row["trial"] for row in table["rows"]] == ["full", "lora"]
    assert table["died"] == [{"trial": "qlora", "seed": 0, "reason": "out of memory"}]
    assert told == ["qlora: out of memory"]
    assert "did not come to their end: `qlora`" in table["conclusion"]["text"]
    assert "- `qlora` (seed 0): out of memory" in (tmp_path / "sweeps" / "method" / "table.md").read_text(encoding="utf-8")
    assert table["rows"][1]["behind"]["p"] == 1.0
    assert "would settle it" not in table["conclusion"]["text"], "equal trials are never told apart, whatever n"

    again = _sweep(recipe_path, tmp_path, Worker({"lora": _GOOD, "full": _GOOD, "qlora": _NEAR}))
    assert again["died"] == []
    assert len(again["rows"]) == 3


def test_where_all_die_there_is_a_table_that_says_so(recipe_path: Path, tmp_path: Path) -> None:
    table = _sweep(recipe_path, tmp_path, Worker({}, dies=dict.fromkeys(("full", "lora", "qlora"), "no disk\n\nhint: buy one")))
    assert table["rows"] == []
    assert table["conclusion"]["text"].startswith("No trial came to its end")
    assert "no disk hint: buy one" in (tmp_path / "sweeps" / "method" / "table.md").read_text(encoding="utf-8")


def test_a_trial_whose_recipe_contradicts_itself_dies_alone(recipe_path: Path, tmp_path: Path) -> None:
    table = _sweep(recipe_path, tmp_path, Worker({"lora": _GOOD, "qlora": _POOR}), set_=["guard.kl=0.1"])
    [died] = table["died"]
    assert died["trial"] == "full"
    assert "guard.kl" in died["reason"]
    assert len(table["rows"]) == 2


def test_what_starts_from_a_trial_that_died_is_not_begun(recipe_path: Path, tmp_path: Path) -> None:
    worker = Worker({"base": _GOOD}, dies={"first": "killed"})
    table = _sweep(recipe_path, tmp_path, worker, continued())
    assert worker.asked == ["first:0", "base:0"]
    assert {one["trial"]: one["reason"] for one in table["died"]} == {
        "first": "killed",
        "continue": "it starts from `first`, which died",
        "merge": "it starts from `first`, which died",
    }
    assert table["conclusion"]["text"].startswith("Only `base` came to its end")


def test_seeds_are_taken_together_and_shown_apart(recipe_path: Path, tmp_path: Path) -> None:
    worker = Worker({"full": _POOR, "lora": _GOOD, "qlora": _GOOD}, dies={})
    table = _sweep(recipe_path, tmp_path, worker, seeds=2)
    assert worker.asked == [f"{name}:{seed}" for seed in (0, 1) for name in ("full", "lora", "qlora")]
    assert (tmp_path / "sweeps" / "method" / "seed-1" / "lora").is_dir()
    assert (table["seeds"], table["n"], table["families"]) == ([0, 1], 80, 40)
    assert table["rows"][0]["by_seed"].keys() == {"0", "1"}
    assert "ROUGE-L by seed" in (tmp_path / "sweeps" / "method" / "table.md").read_text(encoding="utf-8")
    assert "Items of 2 seeds" in table["conclusion"]["text"]


def test_a_better_trial_that_the_gate_fails_is_not_the_first(recipe_path: Path, tmp_path: Path) -> None:
    said: dict[str, Any] = {"full": {"verdict": "fail"}}
    table = _sweep(recipe_path, tmp_path, Worker({"full": _GOOD, "lora": _POOR, "qlora": _POOR}, **said))
    rows = {row["trial"]: row for row in table["rows"]}
    assert table["rows"][0]["trial"] == "lora"
    assert rows["full"]["behind"]["value"] < 0
    text = table["conclusion"]["text"]
    assert "is the best of those that the gate does not fail" in text
    assert f"`full` ({-rows['full']['behind']['value']:.3f} ahead, 95 % interval {-rows['full']['behind']['high']:.3f} to" in text
    assert "The gate fails `full`." in text


def test_judges_scores_are_compared_on_items_that_have_one_everywhere(recipe_path: Path, tmp_path: Path) -> None:
    judged: dict[str, Any] = {"full": {"judged": range(20)}, "lora": {"judged": range(5, 40)}, "qlora": {"judged": range(40)}}
    table = _sweep(recipe_path, tmp_path, Worker({"full": _POOR, "lora": _GOOD, "qlora": _NEAR}, **judged))
    scores = {row["trial"]: row["judge"] for row in table["rows"]}
    assert scores["full"]["n"] == 15
    assert scores["full"]["value"] == pytest.approx(5 * sum(_POOR[5:20]) / 15)
    page = (tmp_path / "sweeps" / "method" / "table.md").read_text(encoding="utf-8")
    assert f"| `full` | 15 | {scores['full']['value']:.3f} |" in page
    unjudged = _sweep(recipe_path, tmp_path, Worker({"full": _POOR, "lora": _GOOD, "qlora": _NEAR}))
    assert {row["judge"] for row in unjudged["rows"]} == {None}
    assert "Judges" not in (tmp_path / "sweeps" / "method" / "table.md").read_text(encoding="utf-8")


def test_few_families_tell_nothing_apart(recipe_path: Path, tmp_path: Path) -> None:
    table = _sweep(recipe_path, tmp_path, Worker({"full": _POOR[:8], "lora": _GOOD[:8], "qlora": _NEAR[:8]}))
    assert not any(row["behind"]["told_apart"] for row in table["rows"][1:])
    assert "With 8 question families, fewer than 10, nothing is told apart." in table["conclusion"]["text"]
    alone: dict[str, Any] = {name: {"per_family": 99} for name in ("full", "lora", "qlora")}
    table = _sweep(recipe_path, tmp_path, Worker({"full": _POOR, "lora": _GOOD, "qlora": _NEAR}, **alone))
    assert "`full` (no interval: one family)" in table["conclusion"]["text"]


def test_the_learning_curve_says_what_a_doubling_brings(recipe_path: Path, tmp_path: Path) -> None:
    sizes = {"0.25": 10, "0.5": 20, "1": 40}
    grown = {name: shares(40, 0.3 + 0.15 * place, seed=5, spread=0.1) for place, name in enumerate(sizes)}
    said: dict[str, Any] = {name: {"domain_rows": rows} for name, rows in sizes.items()}
    preset = scales()._replace(trials=lambda *_: [Trial(name, {"train.rank": rank}) for rank, name in enumerate(sizes, 1)])
    table = _sweep(recipe_path, tmp_path, Worker(grown, **said), preset)
    curve = table["curve"]
    assert [point["rows"] for point in curve["points"]] == [10, 20, 40]
    points = [point["rouge_l"] for point in curve["points"]]
    assert curve["per_doubling"]["value"] == pytest.approx((points[2] - points[0]) / 2)
    assert curve["per_doubling"]["low"] > 0
    assert curve["rows_ahead"] == 80
    assert curve["ahead"]["value"] == pytest.approx(sum(points) / 3 + 2 * curve["per_doubling"]["value"])
    assert "80 rows reach" in table["conclusion"]["text"]
    assert "extrapolation" in table["conclusion"]["text"]

    level = {name: shares(40, 0.5, seed=seed) for seed, name in enumerate(sizes)}
    flat = _sweep(recipe_path, tmp_path, Worker(level, **said), preset)
    assert "Whether more domain rows help cannot be told" in flat["conclusion"]["text"]
    same = _sweep(recipe_path, tmp_path, Worker(grown), preset)
    assert same["curve"] is None, "trials of one size make no curve"


def test_nothing_is_done_where_nothing_can_be_compared(recipe_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "run_recipe", lambda *_, **__: pytest.fail("the main run was begun"))
    with pytest.raises(RecipeError, match="`full` trains no adapter"):
        _sweep(recipe_path, tmp_path, Worker({}), continued(), set_=["train.method=full"])


def test_trials_without_a_common_item_are_not_compared(recipe_path: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="share no test item"):
        _sweep(recipe_path, tmp_path, Worker({"full": [], "lora": _GOOD, "qlora": _GOOD}))


def test_two_sweeps_of_one_preset_do_not_meet(recipe_path: Path, tmp_path: Path) -> None:
    with only_one_process(tmp_path / "sweeps" / "method"), pytest.raises(MachineError, match="another tunewell process"):
        _sweep(recipe_path, tmp_path, Worker({}))
    busy = Worker({"full": _GOOD, "qlora": _GOOD})
    with only_one_process(tmp_path / "sweeps" / "method" / "lora"):
        table = _sweep(recipe_path, tmp_path, busy)
    [died] = table["died"]
    assert (died["trial"], busy.asked) == ("lora", ["full:0", "qlora:0"])
    assert "another tunewell process works in this run" in died["reason"]


def test_ratios_make_trials_of_their_names(recipe_path: Path, tmp_path: Path) -> None:
    table = _sweep(recipe_path, tmp_path, Worker({"1-1": _GOOD, "1-3": _GOOD}), ratios("1:1, 1:3"), set_=["report.title=Ours"])
    assert {row["trial"]: row["own"] for row in table["rows"]} == {"1:1": False, "1:3": True}
    planned = trials_module.plan(
        ratios("1:1,1:3"), load_recipe(recipe_path, ["report.title=Ours"]), tmp_path, tmp_path / "sweeps", seeds=1
    )
    assert [one.recipe.report.title for one in planned if one.recipe] == ["Ours: 1:1", "Ours: 1:3"]
