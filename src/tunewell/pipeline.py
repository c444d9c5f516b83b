"""The ordered list of stages, and the decision which of them must run.

A run is a folder with one subfolder a stage. A stage is skipped when its settings, its inputs and the product's version are
those of its manifest; a stage that was cut off goes on in its folder; anything else starts it anew.
"""

import importlib
import json
import platform
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import yaml

from tunewell import __version__
from tunewell.collect import data_files
from tunewell.engine import Engine, EngineName, choose_engine
from tunewell.errors import MachineError
from tunewell.memory import peak_memory, release_memory
from tunewell.model.lineage import adapter_files
from tunewell.model.locate import locate
from tunewell.recipe import Recipe
from tunewell.records import Summary
from tunewell.store import (
    MANIFEST,
    Manifest,
    atomic_write,
    digest,
    exclusive,
    file_digest,
    folder_digest,
    friendly_disk_errors,
    write_json,
)
from tunewell.template.family import AUTO, is_file_name, load_family

_KEY_FILE = ".key"
# Entries of a journal carry in their file's name all that they depend on, so they outlive a change of settings.
_KEPT = "journal"
# What a stage spent hangs on what was in a cache, and does not change what it made.
_ACCOUNTS = ("account.json", "README.md")
_PACKAGES = ("torch", "transformers", "peft", "accelerate", "pyarrow", "rapidfuzz", "sacrebleu")


class Stage(NamedTuple):
    """A stage: its room, the recipe's keys it is given, what it reads, the user's files it reads, what it shows the user.

    `reads` names earlier stages, `model` (the base model's folder), `run` (the run's folder), `review` (what reviewers decided)
    and `dial` (the table of the dial, where it was turned). A stage that `scales` is given the engine on which its work is done.
    Keys that it `ignores` (`data.ratio`) it is not given, and a change of them does not start it anew.
    """

    name: str
    uses: tuple[str, ...]
    reads: tuple[str, ...] = ()
    files: Callable[[Recipe], Iterable[Path]] = lambda recipe: ()
    publishes: tuple[str, ...] = ()
    scales: bool = False
    ignores: tuple[str, ...] = ()

    def part(self, recipe: Recipe) -> Recipe:
        """What the stage is given of a recipe."""
        part = recipe.part(*self.uses)
        for section in {name.partition(".")[0] for name in self.ignores}:
            kept = {key: value for key, value in getattr(part, section) if f"{section}.{key}" not in self.ignores}
            vars(part)[section] = SimpleNamespace(**kept)
        return part

    def settings(self, recipe: Recipe) -> dict[str, Any]:
        """The same as JSON values."""
        values = recipe.values(*self.uses)
        for name in self.ignores:
            section, _, key = name.partition(".")
            del values[section][key]
        return values


def _family_file(recipe: Recipe) -> list[Path]:
    """The user's own prompt family, where the recipe names a file."""
    return [Path(recipe.template)] if is_file_name(recipe.template) else []


def _adapter_files(recipe: Recipe) -> list[Path]:
    """The files of the adapter that training starts from, where it does; one that is missing is for the stage to complain about."""
    start = recipe.train.start
    return [] if isinstance(start, str) else [path for name in start.values() for path in adapter_files(Path(name))]


STAGES = (
    Stage(
        "collect",
        ("data", "collect"),
        files=lambda recipe: data_files(recipe.data),
        scales=True,
        ignores=("data.ratio", "data.by", "data.turns", "data.caps", "data.when_short", "data.holdout"),
    ),
    Stage(
        "generate",
        ("generate", "teacher", "clean", "template", "seed"),
        ("collect", "model"),
        files=lambda recipe: (*map(Path, (*recipe.generate.replay_prompts, *recipe.generate.seeds)), *_family_file(recipe)),
    ),
    Stage("clean", ("clean",), ("collect", "generate", "review"), scales=True),
    Stage("mix", ("data", "seed"), ("collect", "clean", "model"), scales=True),
    Stage(
        "train",
        ("train", "guard", "template", "seed"),
        ("mix", "model"),
        files=lambda recipe: (*_family_file(recipe), *_adapter_files(recipe)),
    ),
    Stage(
        "evaluate",
        ("evaluate", "judge", "gate", "template", "seed"),
        ("mix", "train", "model"),
        files=_family_file,
    ),
    Stage("gate", ("gate", "seed"), ("mix", "train", "evaluate", "dial"), publishes=("metrics.json",)),
    Stage(
        "report",
        ("report",),
        ("run", "review", "collect", "generate", "clean", "mix", "train", "evaluate", "gate"),
        publishes=("report.html", "report.md"),
    ),
)
NAMES = tuple(stage.name for stage in STAGES)


class Outcome(NamedTuple):
    """What became of one stage."""

    stage: str
    skipped: bool
    manifest: Manifest


class Caller(NamedTuple):
    """Who asks for a run: the command that is noted in it, and what is called when a stage starts and when it has ended."""

    command: str = ""
    started: Callable[[str], None] = lambda name: None
    ended: Callable[[Outcome], None] = lambda outcome: None


def run_recipe(
    recipe: Recipe,
    run_dir: Path,
    *,
    until: str = "report",
    start: str | None = None,
    caller: Caller = Caller(),  # noqa: B008  a NamedTuple does not change
    engine: EngineName = "local",
) -> list[Outcome]:
    """Bring a run up to date, stage after stage up to `until`; `start` does that stage and all later ones anew.

    What the stages leave does not depend on the engine, so a run may go on under another one.

    Raises `MachineError` where the run's folder cannot be written or another process works in it, and `TemplateError` before
    anything is done where there is no such prompt family.
    """
    if recipe.template != AUTO:
        load_family(recipe.template)
    with friendly_disk_errors(run_dir), only_one_process(run_dir):
        _describe_run(recipe, run_dir, caller.command)
        if start is not None:
            for name in NAMES[NAMES.index(start) :]:
                (stage_folder(run_dir, name) / MANIFEST).unlink(missing_ok=True)
        places = places_of(recipe, run_dir)
        workers = choose_engine(engine)
        outcomes = []
        for stage in STAGES[: NAMES.index(until) + 1]:
            caller.started(stage.name)
            outcome = _bring_up_to_date(stage, recipe, places, workers)
            caller.ended(outcome)
            outcomes.append(outcome)
        return outcomes


def stage_folder(run_dir: Path, name: str) -> Path:
    """The folder of a stage in a run, such as `1-collect` or `5-train`."""
    return run_dir / f"{NAMES.index(name) + 1}-{name}"


def places_of(recipe: Recipe, run_dir: Path) -> dict[str, Path]:
    """The folders that stages of a run read, by the names under which they ask for them."""
    places = {name: stage_folder(run_dir, name) for name in NAMES}
    places |= {"run": run_dir, "review": run_dir / "review", "dial": run_dir / "dial" / "dial.json"}
    return places | {"model": locate(recipe.model)}


class Identity(NamedTuple):
    """What decides whether a stage is up to date: `key` is the hash of all, the settings and the hashes of its inputs among it."""

    key: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]


def identify(stage: Stage, recipe: Recipe, places: Mapping[str, Path]) -> Identity:
    """The identity of a stage whose inputs are there. Two runs in which it is the same make the same of it."""
    digests = {name: _input_digest(name, places[name]) for name in stage.reads} | _file_digests(stage.files(recipe))
    settings = stage.settings(recipe)
    return Identity(digest([__version__, stage.name, settings, digests]), settings, digests)


def versions() -> dict[str, str]:
    """Versions of the product, of Python and of the packages that results depend on."""
    return {"tunewell": __version__, "python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


def _bring_up_to_date(stage: Stage, recipe: Recipe, places: Mapping[str, Path], engine: Engine) -> Outcome:
    folder = places[stage.name]
    key, settings, digests = identify(stage, recipe, places)
    manifest = Manifest.read(folder)
    skipped = manifest is not None and manifest.key == key
    if manifest is None or not skipped:
        _prepare(folder, key)
        started = time.perf_counter()
        scale = {"engine": engine} if stage.scales else {}
        inputs = {name: places[name] for name in stage.reads}
        summary = _room(stage.name)(stage.part(recipe), inputs, folder, **scale)
        manifest = Manifest(
            stage=stage.name,
            key=key,
            settings=settings,
            inputs=digests,
            outputs=folder_digest(folder, without=(_KEPT, *_ACCOUNTS, MANIFEST)),
            counts=summary.counts,
            seconds=round(time.perf_counter() - started, 2),
            versions=versions(),
            seed=recipe.seed,
            peak_rss_bytes=peak_memory(),
            details=summary.details,
        )
        manifest.write(folder)
        release_memory()
    for name in stage.publishes:
        with atomic_write(places["run"] / name) as temporary:
            shutil.copyfile(folder / name, temporary)
    return Outcome(stage.name, skipped, manifest)


def _room(name: str) -> Callable[..., Summary]:
    """A room's `run`, imported only when its stage must run: a run with nothing to do never loads torch."""
    run: Callable[..., Summary] = importlib.import_module(f"tunewell.{name}").run
    return run


def _prepare(folder: Path, key: str) -> None:
    """Leave the folder as it is where this very stage was cut off in it; else empty it."""
    key_file = folder / _KEY_FILE
    if not key_file.exists() or key_file.read_text(encoding="utf-8") != key:
        for path in folder.glob("*"):
            if path.is_dir() and path.name != _KEPT:
                shutil.rmtree(path)
            elif path.is_file():
                path.unlink()
        with atomic_write(key_file) as temporary:
            temporary.write_text(key, encoding="utf-8")
    (folder / MANIFEST).unlink(missing_ok=True)


def _input_digest(name: str, path: Path) -> str:
    if name in {"model", "review"}:
        return folder_digest(path)
    if name == "dial":
        return file_digest(path) if path.is_file() else ""
    if name == "run":
        return file_digest(path / "recipe.yaml")
    manifest = Manifest.read(path)
    assert manifest is not None, f"stage {name} is read before it has run"
    return manifest.outputs


def _file_digests(paths: Iterable[Path]) -> dict[str, str]:
    """Hashes of the user's files; one that is missing is for the stage to complain about."""
    return {str(path): file_digest(path) for path in sorted(set(paths)) if path.is_file()}


def _describe_run(recipe: Recipe, run_dir: Path, command: str) -> None:
    """Write the recipe as it was understood, and how the run was started, unless they stand there already."""
    text = yaml.safe_dump(recipe.model_dump(mode="json"), allow_unicode=True, sort_keys=False)
    recipe_file = run_dir / "recipe.yaml"
    description = {"recipe": str(recipe_file), "command": command, "tunewell": __version__, "model": recipe.model}
    if (
        recipe_file.exists()
        and recipe_file.read_text(encoding="utf-8") == text
        and _is_described(run_dir / "run.json", description)
    ):
        return
    with atomic_write(recipe_file) as temporary:
        temporary.write_text(text, encoding="utf-8")
    write_json(run_dir / "run.json", {**description, "started": datetime.now(UTC).isoformat(timespec="seconds")})


def _is_described(path: Path, description: Mapping[str, str]) -> bool:
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(description.items() <= written.items())


@contextmanager
def only_one_process(folder: Path) -> Iterator[None]:
    """Hold a folder of a run, which is made where it is not there.

    Raises `MachineError` where it cannot be made, or another process holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"the run's folder cannot be made: {error.strerror}"
        raise MachineError(what, where=str(folder), hint="choose another with `--run DIR`") from error
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive(folder / ".lock", wait=False))
        except BlockingIOError as error:
            hint = "wait for it, or choose another folder with `--run DIR`"
            raise MachineError("another tunewell process works in this run", where=str(folder), hint=hint) from error
        yield
