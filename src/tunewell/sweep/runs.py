"""A sweep of trials: one run for each, what is the same in them made once, and a table of what they reached."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tunewell.errors import TunewellError
from tunewell.pipeline import Caller, only_one_process, run_recipe
from tunewell.recipe import Recipe
from tunewell.store import atomic_write, friendly_disk_errors, write_json
from tunewell.sweep.apart import Job, run_apart
from tunewell.sweep.outcome import Died, make_table
from tunewell.sweep.page import render
from tunewell.sweep.scores import Ended, read_ended
from tunewell.sweep.share import take_over
from tunewell.sweep.trials import Planned, Preset, plan

TABLE = "table.json"

Worker = Callable[[Job, Caller], str]
"""What brings a run up to date, and says what it died of, or nothing."""


class Witness(NamedTuple):
    """Who is told of the stages of every run, of a trial that begins, with the stages it takes over, and of one that died."""

    caller: Caller = Caller()
    began: Callable[[Planned, Sequence[str]], None] = lambda planned, taken: None
    died: Callable[[Planned, str], None] = lambda planned, reason: None


def sweep_trials(
    preset: Preset,
    recipe: Recipe,
    run_dir: Path,
    *,
    seeds: int = 1,
    witness: Witness = Witness(),  # noqa: B008  a NamedTuple does not change
    work: Worker = run_apart,
) -> dict[str, Any]:
    """Do every trial of a preset under `seeds` seeds, and compare them on the test items that all of them answered.

    The run is brought up to date as far as `mix`. Each trial is a run in `RUN/sweeps/NAME/TRIAL` and in a process of its own; what
    it would make as the main run or an earlier trial has made it, it takes from there. A trial that dies is noted with its reason.
    The folder of the sweep gets `table.json`, whose content is returned, and `table.md`. The same sweep again does what is missing.

    Raises `RecipeError` before anything is done where the preset cannot compare anything in this recipe, `DataError` where the
    mixture lacks what it takes, and whatever the main run raises.
    """
    preset.check(recipe)
    run_recipe(recipe, run_dir, until="mix", caller=witness.caller)
    folder = run_dir / "sweeps" / preset.name
    with friendly_disk_errors(folder), only_one_process(folder):
        trials = plan(preset, recipe, run_dir, folder, seeds=seeds)
        died = _do_all(trials, [run_dir, *(planned.folder for planned in trials)], witness, work)
        table = make_table(preset, recipe, trials, _ended(trials, died), died)
        write_json(folder / TABLE, table)
        with atomic_write(folder / "table.md") as temporary:
            temporary.write_text(render(table, recipe.report.language), encoding="utf-8")
        return table


def _do_all(trials: Sequence[Planned], donors: Sequence[Path], witness: Witness, work: Worker) -> list[Died]:
    died: list[Died] = []
    for planned in trials:
        trial = planned.trial
        if any((one.trial, one.seed) == (trial.needs, planned.seed) for one in died):
            reason = f"it starts from `{trial.needs}`, which died"
        else:
            reason = _do(planned, donors, witness, work)
        if reason:
            died.append(Died(trial.name, planned.seed, reason))
            witness.died(planned, reason)
    return died


def _do(planned: Planned, donors: Sequence[Path], witness: Witness, work: Worker) -> str:
    if planned.recipe is None:
        return planned.error
    try:
        taken = take_over(planned.recipe, planned.folder, [donor for donor in donors if donor != planned.folder])
    except TunewellError as error:
        return str(error)
    witness.began(planned, taken)
    return work(Job(planned.recipe, planned.folder, planned.trial.until), witness.caller)


def _ended(trials: Sequence[Planned], died: Sequence[Died]) -> dict[str, list[Ended]]:
    """The runs of each trial that is scored, under every seed. A trial that died under one seed is not."""
    without = {one.trial for one in died}
    ended: dict[str, list[Ended]] = {}
    for planned in trials:
        if planned.trial.is_scored and planned.trial.name not in without:
            ended.setdefault(planned.trial.name, []).append(read_ended(planned.folder, planned.seed))
    return ended
