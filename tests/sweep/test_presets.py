"""What each preset compares, and what it must have for that."""

from inspect import signature
from pathlib import Path

import pytest

from tunewell.cli import sweep as commands
from tunewell.errors import DataError, RecipeError
from tunewell.pipeline import stage_folder
from tunewell.recipe import Recipe, load_recipe
from tunewell.records import EXAMPLE_SCHEMA, Example, Message, Origin, example_to_row
from tunewell.store import write_rows
from tunewell.sweep import RATIOS, SHARES, continued, methods, ratios, reasoned, scales
from tunewell.sweep.trials import Planned, Preset, plan


def _planned(preset: Preset, recipe: Recipe, run: Path, seeds: int = 1) -> dict[str, Planned]:
    preset.check(recipe)
    found = plan(preset, recipe, run, run / "sweeps" / preset.name, seeds=seeds)
    return {one.trial.name: one for one in found}


def _recipe(planned: Planned) -> Recipe:
    assert planned.recipe, planned.error
    return planned.recipe


def _mixture(run: Path, *rows: tuple[str, str, str]) -> None:
    """Training rows of source, pool and task."""
    examples = [
        Example((Message("user", f"{place}?"), Message("assistant", "Yes.")), pool, Origin(source, place), task, "en", f"f{place}")  # type: ignore[arg-type]
        for place, (source, pool, task) in enumerate(rows)
    ]
    write_rows(stage_folder(run, "mix") / "train", EXAMPLE_SCHEMA, map(example_to_row, examples))


def test_methods_differ_by_method_and_full_fine_tuning_by_its_rate_as_well(recipe_path: Path, tmp_path: Path) -> None:
    planned = _planned(methods(), load_recipe(recipe_path, ["train.learning_rate=5e-4"]), tmp_path)
    assert {name: _recipe(one).train.learning_rate for name, one in planned.items()} == {"full": 5e-5, "lora": 5e-4, "qlora": 5e-4}
    assert [name for name, one in planned.items() if one.is_own] == ["lora"]
    planned = _planned(methods(), load_recipe(recipe_path, ["train.method=full", "train.learning_rate=2e-5"]), tmp_path)
    assert {name: _recipe(one).train.learning_rate for name, one in planned.items()} == {"full": 2e-5, "lora": 2e-4, "qlora": 2e-4}
    assert [name for name, one in planned.items() if one.is_own] == ["full"]


def test_an_adapter_is_trained_first_where_none_is_given_and_every_seed_has_its_own(recipe_path: Path, tmp_path: Path) -> None:
    found = plan(continued(), load_recipe(recipe_path), tmp_path, tmp_path / "sweep", seeds=2)
    assert [(one.trial.name, one.seed) for one in found] == [
        (name, seed) for seed in (0, 1) for name in ("first", "base", "continue", "merge")
    ]
    first, base, trained_on, merged, *others = found
    assert (first.trial.until, first.trial.is_scored, base.is_own) == ("train", False, True)
    assert _recipe(first).data.ratio.domain < 1e-6
    assert _recipe(trained_on).train.start == {"continue": str(first.folder)}
    assert _recipe(merged).train.start == {"merge": str(first.folder)}
    assert {trained_on.trial.needs, merged.trial.needs} == {"first"}
    assert _recipe(others[2]).train.start == {"continue": str(tmp_path / "sweep" / "seed-1" / "first")}


def test_the_adapter_that_is_trained_first_is_found_from_wherever_the_sweep_is_started(
    recipe_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    planned = _planned(continued(), load_recipe(recipe_path), Path("runs") / "ours")
    first = tmp_path / planned["first"].folder
    assert _recipe(planned["continue"]).train.start == {"continue": str(first)}


def test_the_adapter_that_the_recipe_names_is_taken(recipe_path: Path, tmp_path: Path) -> None:
    planned = _planned(continued(), load_recipe(recipe_path, [f"train.start={{merge: {tmp_path}/a}}"]), tmp_path)
    assert planned.keys() == {"base", "continue", "merge"}
    assert planned["merge"].is_own
    assert _recipe(planned["continue"]).train.start == {"continue": f"{tmp_path}/a"}
    with pytest.raises(RecipeError, match="the first adapter is trained on open rows, and there are none"):
        continued().check(load_recipe(recipe_path, ["data.open=[]", "generate.replay=0"]))


def test_chain_of_thought_needs_rows_that_have_it(recipe_path: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"generate\.tasks: there are no `cot` rows"):
        reasoned().check(load_recipe(recipe_path))
    recipe = load_recipe(recipe_path, ["generate.tasks={cot: 4}", "teacher={server: 'http://127.0.0.1:1/v1', model: m}"])
    _mixture(tmp_path, ("a.jsonl", "domain", "qa"))
    with pytest.raises(DataError, match="no `cot` row reached the mixture"):
        _planned(reasoned(), recipe, tmp_path)
    _mixture(tmp_path, ("a.jsonl", "domain", "qa"), ("a.jsonl", "domain", "cot"))
    planned = _planned(reasoned(), recipe, tmp_path)
    assert {name: _recipe(one).generate.cot_share for name, one in planned.items()} == {"none": 0, "half": 0.5, "all": 1}
    assert planned["all"].is_own


def test_ratios_are_read_or_refused(recipe_path: Path, tmp_path: Path) -> None:
    planned = _planned(ratios("0:1, 1:0.5"), load_recipe(recipe_path), tmp_path)
    assert [_recipe(one).data.ratio.model_dump() for one in planned.values()] == [
        {"open": 0, "domain": 1},
        {"open": 1, "domain": 0.5},
    ]
    for written in ("1:1", "1:1,1:1", "", "1:0,1:1", "1,2", "a:b,1:1", "1:inf,1:1"):
        with pytest.raises(RecipeError) as caught:
            ratios(written)
        assert caught.value.where == "--ratios"


def test_shares_of_the_domain_are_caps_of_its_files_alone(recipe_path: Path, tmp_path: Path) -> None:
    rows = [("data/a[1].jsonl", "domain", "qa")] * 8 + [("b.jsonl", "domain", "qa")] * 3 + [("open.json", "open", "qa")] * 5
    _mixture(tmp_path, *rows)
    planned = _planned(scales("0.5,1"), load_recipe(recipe_path, ["data.caps={b.jsonl: 3}"]), tmp_path)
    assert _recipe(planned["0.5"]).data.caps == {"data/a[[]1].jsonl": 4, "b.jsonl": 2}
    assert planned["1"].is_own
    assert not planned["0.5"].is_own
    for written in ("0.5", "0.5,0.50", "0,1", "1.5,1", "half,1"):
        with pytest.raises(RecipeError) as caught:
            scales(written)
        assert caught.value.where == "--shares"


def test_the_commands_say_what_the_presets_do() -> None:
    assert signature(commands.ratio).parameters["ratios"].default == RATIOS
    assert signature(commands.scale).parameters["shares"].default == SHARES
