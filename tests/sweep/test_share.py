"""What a run takes over from others: stages that would come out the same, and answers that are known."""

from pathlib import Path

import pytest

from tunewell.errors import MachineError
from tunewell.pipeline import only_one_process, run_recipe, stage_folder
from tunewell.recipe import load_recipe
from tunewell.sweep.share import take_over

_QUICK = ["generate.replay=0"]


def _skipped(recipe_path: Path, run: Path, *changes: str) -> list[str]:
    outcomes = run_recipe(load_recipe(recipe_path, [*_QUICK, *changes]), run, until="mix")
    return [outcome.stage for outcome in outcomes if outcome.skipped]


def test_stages_that_hang_on_nothing_that_changed_are_taken_and_count_as_done(recipe_path: Path, tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    (first / "review").mkdir(parents=True)
    _skipped(recipe_path, first)
    changed = load_recipe(recipe_path, [*_QUICK, "data.ratio={open: 1, domain: 1}"])
    assert take_over(changed, second, [tmp_path / "nowhere", first]) == ["collect", "generate", "clean"]
    rows, copies = (stage_folder(run, "clean") / "examples" / "part-00000-00000.parquet" for run in (first, second))
    assert copies.samefile(rows), "rows are not written twice"
    notes, own = (stage_folder(run, "clean") / "manifest.json" for run in (first, second))
    assert own.read_bytes() == notes.read_bytes()
    assert not own.samefile(notes), "what may be written again is no other run's"
    assert _skipped(recipe_path, second, "data.ratio={open: 1, domain: 1}") == ["collect", "generate", "clean"]

    assert take_over(changed, second, [first]) == [], "what is there is not taken again"
    assert take_over(changed, third, [first, second]) == ["collect", "generate", "clean", "mix"]
    assert _skipped(recipe_path, third, "data.ratio={open: 1, domain: 1}") == ["collect", "generate", "clean", "mix"]
    assert _skipped(recipe_path, first) == ["collect", "generate", "clean", "mix"], "the donor is as it was"

    other = load_recipe(recipe_path, [*_QUICK, "clean.novelty=0.5"])
    assert take_over(other, tmp_path / "fourth", [first]) == ["collect"]


def test_answers_that_are_known_go_along_but_never_over_those_that_are_there(recipe_path: Path, tmp_path: Path) -> None:
    donor, run = tmp_path / "donor", tmp_path / "run"
    entries = stage_folder(donor, "evaluate") / "journal"
    (entries / "base").mkdir(parents=True)
    (entries / "base" / "replies.jsonl").write_text("{}\n", encoding="utf-8")
    (entries / "one.jsonl").write_text("theirs", encoding="utf-8")
    other = stage_folder(tmp_path / "other", "evaluate") / "journal" / "two.jsonl"
    other.parent.mkdir(parents=True)
    other.write_text("others'", encoding="utf-8")
    kept = stage_folder(run, "evaluate") / "journal" / "one.jsonl"
    kept.parent.mkdir(parents=True)
    kept.write_text("ours", encoding="utf-8")
    assert take_over(load_recipe(recipe_path, _QUICK), run, [tmp_path / "nowhere", donor, tmp_path / "other"]) == []
    assert (kept.parent / "two.jsonl").read_text(encoding="utf-8") == "others'"
    assert (kept.parent / "base" / "replies.jsonl").read_text(encoding="utf-8") == "{}\n"
    assert kept.read_text(encoding="utf-8") == "ours"


def test_a_donor_in_which_another_process_works_is_passed_over(recipe_path: Path, tmp_path: Path) -> None:
    answer = Path("journal") / "one.jsonl"
    known = stage_folder(tmp_path / "busy", "evaluate") / answer
    known.parent.mkdir(parents=True)
    known.write_text("theirs", encoding="utf-8")
    recipe = load_recipe(recipe_path, _QUICK)
    taken = stage_folder(tmp_path / "run", "evaluate") / answer
    with only_one_process(tmp_path / "busy"):
        take_over(recipe, tmp_path / "run", [tmp_path / "busy"])
        assert not taken.exists()
        with pytest.raises(MachineError, match="another tunewell process"):
            take_over(recipe, tmp_path / "busy", [])
    take_over(recipe, tmp_path / "run", [tmp_path / "busy"])
    assert taken.read_text(encoding="utf-8") == "theirs"
