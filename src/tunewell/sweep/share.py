"""What is the same in several runs is made once: finished stages and answers taken over from one run into another."""

import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tunewell.errors import MachineError
from tunewell.pipeline import STAGES, identify, only_one_process, places_of, stage_folder
from tunewell.recipe import Recipe
from tunewell.store import Manifest, atomic_folder

_JOURNAL = "journal"
# What is large and never written a second time under its name. Any other file is copied, so that no run can change another's.
_LINKED = {".parquet", ".safetensors"}


def take_over(recipe: Recipe, run_dir: Path, donors: Sequence[Path]) -> list[str]:
    """Take from other runs, the first first, what a run of the recipe in `run_dir` would make just the same; names of the stages.

    A stage is taken whole where its key is that of the donor's: the key hangs on all that the stage reads. Of the stages that are
    left to do, the journals are taken, whose entries are named after what they hang on: answers of a teacher and of the base.
    The reviewers' decisions of the first donor are those of the run. A donor in which another process works is passed over.

    Raises `MachineError` where another process works in `run_dir`.
    """
    with ExitStack() as stack:
        stack.enter_context(only_one_process(run_dir))
        _copy_review(donors, run_dir)
        free = [donor for donor in donors if donor.is_dir() and _is_held(stack, donor)]
        taken, done = _take_stages(recipe, run_dir, free)
        for stage in STAGES[done:]:
            _take_journal(stage_folder(run_dir, stage.name), [stage_folder(donor, stage.name) for donor in free])
        return taken


def _take_stages(recipe: Recipe, run_dir: Path, donors: Sequence[Path]) -> tuple[list[str], int]:
    """The names of the stages taken, and how many of the first stages are up to date now."""
    places = places_of(recipe, run_dir)
    taken: list[str] = []
    for done, stage in enumerate(STAGES):
        if "run" in stage.reads:
            return taken, done
        key = identify(stage, recipe, places).key
        if _has(places[stage.name], key):
            continue
        source = next((folder for donor in donors if _has(folder := stage_folder(donor, stage.name), key)), None)
        if source is None:
            return taken, done
        with atomic_folder(places[stage.name]) as folder:
            shutil.copytree(source, folder, copy_function=_link_or_copy, dirs_exist_ok=True)
        taken.append(stage.name)
    return taken, len(STAGES)


def _has(folder: Path, key: str) -> bool:
    manifest = Manifest.read(folder)
    return manifest is not None and manifest.key == key


def _link_or_copy(source: str, target: str) -> None:
    if Path(source).suffix in _LINKED:
        try:
            os.link(source, target)
        except OSError:  # not every file system has links
            shutil.copy2(source, target)
    else:
        shutil.copy2(source, target)


def _take_journal(folder: Path, donors: Sequence[Path]) -> None:
    """Copy the entries that the journal lacks, each of the first donor that has it; a copy that is cut off is a shorter entry."""
    journals = [donor / _JOURNAL for donor in donors if (donor / _JOURNAL).is_dir()]
    for entry in (entry for journal in journals for entry in sorted(journal.iterdir())):
        target = folder / _JOURNAL / entry.name
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if entry.is_dir():
            shutil.copytree(entry, target)
        else:
            shutil.copy2(entry, target)


def _copy_review(donors: Sequence[Path], run_dir: Path) -> None:
    source = next((donor / "review" for donor in donors if (donor / "review").is_dir()), None)
    if source is not None:
        with atomic_folder(run_dir / "review") as folder:
            shutil.copytree(source, folder, dirs_exist_ok=True)


def _is_held(stack: ExitStack, donor: Path) -> bool:
    try:
        stack.enter_context(only_one_process(donor))
    except MachineError:
        return False
    return True
