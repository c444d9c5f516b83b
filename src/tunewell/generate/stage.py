"""The stage `generate`: rows that a teacher writes and proves, and the base model's own answers (`replay`).

Every request's answer is in the teacher's cache before it is used, so a stage that was cut off asks nothing again.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from tunewell.errors import DataError
from tunewell.generate.card import data_card
from tunewell.generate.material import Material
from tunewell.generate.privacy import own_contacts
from tunewell.generate.replay import replay, replay_prompts
from tunewell.generate.select import select
from tunewell.generate.tasks import TASKS
from tunewell.generate.workshop import Failed, Made, Usage, Workshop
from tunewell.progress import progress_bar
from tunewell.recipe import Clean, Generate, Recipe, TaskName
from tunewell.recipe import Teacher as TeacherSettings
from tunewell.records import (
    DOCUMENT_SCHEMA,
    DROPPED_SCHEMA,
    EXAMPLE_SCHEMA,
    Dropped,
    Summary,
    document_to_row,
    dropped_to_row,
    example_to_row,
)
from tunewell.store import ShardWriter, atomic_write, clear_shards, read_examples, write_json, write_rows
from tunewell.teacher import OpenAITeacher, Teacher

_BATCH_WINDOW = 5_000
_WORK_IN_FLIGHT = 4
_SHOWN_ROWS = 2
_SECONDS_A_NOTE = 0.5


def run(settings: Recipe, inputs: Mapping[str, Path], out_dir: Path) -> Summary:
    """Do the tasks of the recipe, one after the other, then replay.

    Args:
        settings: `recipe.part("generate", "teacher", "clean", "template", "seed")`; of `clean`, what it says of personal data,
            which is not told to the teacher either.
        inputs: `collect`, with `examples/` and `documents/`; `model`, the folder of the base model.
        out_dir: receives `examples/` (kept), `dropped/` (rejected, with the check that did it), `chunks/` (of documents),
            `failed.jsonl` (work that got no usable answer or was skipped, with reasons), `account.json` and, where there are
            tasks, `README.md`, a data card.

    Returns:
        Counts `replay` and `left_out` (replay prompts without a whole answer), and of all tasks `made`, `kept`, `rejected` and
        `failed`.

    Raises:
        DataError: a task finds nothing to work on.
        TeacherError: no teacher is named, or it cannot be used.
    """
    plan = settings.generate
    contacts = _contacts(plan.tasks, settings.clean, inputs["collect"])
    material = Material(inputs["collect"], tuple(map(Path, plan.seeds)), settings.seed, contacts)
    _require_material(plan.tasks, material)
    prompts = replay_prompts(plan, inputs["collect"]) if plan.replay else []
    done = asyncio.run(_do_tasks(settings, material, out_dir)) if plan.tasks else _Done()
    longest = plan.max_new_tokens
    own = replay(prompts, inputs["model"], settings.template, max_new_tokens=longest, out_dir=out_dir) if prompts else []
    write_rows(out_dir / "examples", EXAMPLE_SCHEMA, map(example_to_row, own), name="part-replay")
    if plan.keep and plan.tasks:
        _select(plan, inputs["model"], settings.template, out_dir, done.tallies)
    counts = {"replay": len(own), "left_out": len(prompts) - len(own)}
    account = _account(done, {"rows": counts["replay"], "left_out": counts["left_out"]})
    write_json(out_dir / "account.json", account)
    if plan.tasks:
        _write_card(out_dir)
        counts |= {name: sum(tally.counts()[name] for tally in done.tallies) for name in ("made", "kept", "rejected", "failed")}
    return Summary(counts)


@dataclass(slots=True)
class _Tally:
    """What became of one task: rows kept by language and rejected by reason, work failed and skipped by reason, requests."""

    task: TaskName
    asked: int
    kept: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    usage: Usage = field(default_factory=Usage)

    def count(self, made: Made) -> None:
        if made.reason:
            self.rejected[made.reason] += 1
        else:
            self.kept[made.example.language] += 1

    def counts(self) -> dict[str, int]:
        kept, rejected = self.kept.total(), self.rejected.total()
        return {"made": kept + rejected, "kept": kept, "rejected": rejected, "failed": self.failed.total()}

    def as_json(self) -> dict[str, Any]:
        usage = self.usage
        return {
            "task": self.task,
            "asked": self.asked,
            "made": self.counts()["made"],
            "kept": self.kept.total(),
            "rejected": dict(self.rejected),
            "failed": dict(self.failed),
            "skipped": dict(self.skipped),
            "languages": dict(self.kept),
            "requests": usage.requests,
            "cached": usage.cached,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "cost": usage.cost,
        }


class _Done(NamedTuple):
    tallies: Sequence[_Tally] = ()
    teacher: Mapping[str, str] | None = None
    currency: str = ""
    is_out_of_budget: bool = False


def _contacts(tasks: Iterable[TaskName], clean: Clean, collected: Path) -> frozenset[str] | None:
    """The numbers and addresses that the teacher may be told; None: all, since the recipe turns the masking off."""
    if "personal" in clean.skip or not any(TASKS[task].needs == "rows" for task in tasks):
        return None
    return own_contacts(read_examples(collected / "examples"), clean.contacts)


def _require_material(tasks: Mapping[TaskName, int], material: Material) -> None:
    """Raise `DataError` for a task that has nothing to work on, before anything is paid for."""
    needs: dict[str, Callable[[], bool]] = {"documents": material.has_documents, "rows": material.has_rows}
    for task in tasks:
        need, _, wanted = TASKS[task]
        if need and not needs[need]():
            hint = f"name some under data.domain, or take {task} out of generate.tasks"
            raise DataError(f"{task} works on {need} of the domain, and data.domain holds none", where="generate.tasks", hint=hint)
        misfits = material.misfits(wanted.misfit) if wanted else {}
        if wanted and misfits:
            found = ", ".join(f"{reason} {rows:,}" for reason, rows in misfits.items())
            what = f"{task} takes {wanted.words}, and no row of data.domain is one ({found})"
            hint = f"add such rows in English or Chinese, or take {task} out of generate.tasks"
            raise DataError(what, where="generate.tasks", hint=hint)


async def _do_tasks(settings: Recipe, material: Material, out_dir: Path) -> _Done:
    plan, options = settings.generate, settings.teacher
    for name in ("examples", "dropped"):
        clear_shards(out_dir / name)
    tallies: list[_Tally] = []
    problems: list[Failed] = []
    is_out_of_budget = False
    async with OpenAITeacher(options, purse=str(out_dir.parent.resolve())) as teacher:
        for task, rows in plan.tasks.items():
            workshop = Workshop(teacher, window=_window(options), is_out_of_budget=is_out_of_budget)
            tallies.append(await _do_task(task, rows, material, workshop, plan=plan, out_dir=out_dir))
            problems += [*workshop.failed, *workshop.skipped, *_passed_over(task, workshop)]
            is_out_of_budget = workshop.is_out_of_budget
        named = {"model": teacher.name, "server": teacher.server}
        currency = teacher.price.currency if teacher.price else ""
    if any(TASKS[task].needs == "documents" for task in plan.tasks):
        write_rows(out_dir / "chunks", DOCUMENT_SCHEMA, map(document_to_row, material.chunks()))
    _write_problems(problems, out_dir / "failed.jsonl")
    return _Done(tallies, named, currency, is_out_of_budget)


async def _do_task(task: TaskName, rows: int, material: Material, workshop: Workshop, *, plan: Generate, out_dir: Path) -> _Tally:
    tally = _Tally(task, rows, usage=workshop.usage)
    produce = TASKS[task].bind(plan)
    with (
        ShardWriter(out_dir / "examples", EXAMPLE_SCHEMA, name=f"part-{task}") as kept,
        ShardWriter(out_dir / "dropped", DROPPED_SCHEMA, name=f"part-{task}") as rejected,
        _shown(tally, workshop.teacher),
    ):
        async for made in produce(material, rows, workshop):
            example = replace(made.example, evidence={**made.example.evidence, **made.session.evidence()})
            tally.count(made)
            if made.reason:
                rejected.write(dropped_to_row(Dropped(example, made.reason, made.detail)))
            else:
                kept.write(example_to_row(example))
    tally.failed.update(failure.reason for failure in workshop.failed)
    tally.skipped.update(skipped.reason for skipped in workshop.skipped)
    tally.skipped.update(workshop.passed_over)
    return tally


def _passed_over(task: TaskName, workshop: Workshop) -> list[Failed]:
    """One entry a reason, since there may be as many such rows as a log has."""
    wanted = TASKS[task].wanted
    detail = f"the task takes {wanted.words}, each once" if wanted else ""
    return [Failed(task, f"{rows:,} rows", reason, detail, "") for reason, rows in workshop.passed_over.items()]


@contextmanager
def _shown(tally: _Tally, teacher: Teacher) -> Iterator[None]:
    """While this lasts, a bar shows what was made and spent so far, and what keeps the teacher from answering."""

    async def keep_telling() -> None:
        while True:
            bar.progress.update(bar.task, completed=tally.kept.total(), note=_note(tally, teacher.trouble))
            await asyncio.sleep(_SECONDS_A_NOTE)

    with progress_bar(tally.task, total=tally.asked) as bar:
        telling = asyncio.create_task(keep_telling())
        try:
            yield
        finally:
            telling.cancel()


def _window(options: TeacherSettings) -> int:
    """How many pieces of work are done at once: enough to keep all requests in flight while some wait for each other."""
    return _BATCH_WINDOW if options.batch else _WORK_IN_FLIGHT * options.concurrency


def _note(tally: _Tally, trouble: str) -> str:
    usage = tally.usage
    cost = f", {usage.cost:.4f} spent" if usage.cost else ""
    waiting = f"; waiting: {trouble}" if trouble else ""
    return f"{tally.rejected.total():,} rejected, {usage.requests:,} requests{cost}{waiting}"


def _write_problems(problems: Iterable[Failed], path: Path) -> None:
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", errors="replace") as lines:
        for problem in problems:
            lines.write(json.dumps(problem._asdict(), ensure_ascii=False) + "\n")


def _select(plan: Generate, model: Path, template: str, out_dir: Path, tallies: Sequence[_Tally]) -> None:
    """Keep at most `generate.keep` rows of each task; what is not chosen moves to the rejected ones."""
    names = set(plan.tasks)
    rows = [row for row in read_examples(out_dir / "examples") if row.task in names]
    selection = select(rows, plan.keep, plan.select, model=model, template=template, out_dir=out_dir)
    for tally in tallies:
        kept = [row for row in selection.kept if row.task == tally.task]
        left = [dropped for dropped in selection.left if dropped.example.task == tally.task]
        write_rows(out_dir / "examples", EXAMPLE_SCHEMA, map(example_to_row, kept), name=f"part-{tally.task}")
        write_rows(out_dir / "dropped", DROPPED_SCHEMA, map(dropped_to_row, left), name=f"part-{tally.task}-not-selected")
        tally.kept = Counter(row.language for row in kept)
        tally.rejected.update(dropped.reason for dropped in left)


def _account(done: _Done, replayed: Mapping[str, int]) -> dict[str, Any]:
    costs = [tally.usage.cost for tally in done.tallies]
    return {
        "tasks": [tally.as_json() for tally in done.tallies],
        "teacher": done.teacher,
        "currency": done.currency,
        "cost": None if None in costs else sum(cost or 0.0 for cost in costs),
        "replay": replayed,
        "budget_reached": done.is_out_of_budget,
    }


def noted_review(out_dir: Path) -> Mapping[str, Any] | None:
    """What `note_review` has noted of the rows in a stage's folder."""
    noted: Mapping[str, Any] | None = _read_account(out_dir).get("review")
    return noted


def note_review(out_dir: Path, error_rate: Mapping[str, Any] | None) -> None:
    """Note in a stage's account and on its data card what a review has found; with None, that it no longer knows anything.

    Args:
        out_dir: the folder of the stage; where it holds no account, nothing happens.
        error_rate: the values of an `ErrorRate` of the review, and `size` and `seed` of the sample.
    """
    account = _read_account(out_dir)
    if account and account.get("review") != error_rate:
        write_json(out_dir / "account.json", {**account, "review": error_rate})
        _write_card(out_dir)


def _read_account(out_dir: Path) -> Mapping[str, Any]:
    path = out_dir / "account.json"
    account: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return account


def _write_card(out_dir: Path) -> None:
    """Write the data card of a stage's folder, in Chinese where most rows are."""
    account = _read_account(out_dir)
    languages: Counter[str] = Counter()
    for task in account["tasks"]:
        languages.update(task["languages"])
    shown = list(islice(read_examples(out_dir / "examples"), _SHOWN_ROWS))
    language = "zh" if languages["zh"] > languages.total() / 2 else "en"
    text = data_card(account, title=out_dir.parent.name, language=language, examples=shown)
    with atomic_write(out_dir / "README.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
