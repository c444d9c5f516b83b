"""Asking judges: every verdict is in a journal, each request in the client's cache, so what was cut off goes on."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from tunewell.errors import TeacherError
from tunewell.evaluate.judge.calibration import Labelled
from tunewell.evaluate.judge.rubrics import pair_request, score_request
from tunewell.evaluate.judge.verdicts import Verdict, of_failure, of_reply
from tunewell.progress import progress_bar
from tunewell.recipe import Teacher as JudgeSettings
from tunewell.store import Journal, atomic_write, digest
from tunewell.teacher import OpenAITeacher, Request, RequestFailed, Teacher

Mode = Literal["score", "pair", "both"]
"""Whether each answer is scored, the two of each item are compared, or both."""

_RECORDED_AT_ONCE = 32
_WAITING = 4


@dataclass(frozen=True, slots=True)
class Item:
    """A test item with the answers of both models. `question` is all that was asked, as one text (`conversation`)."""

    id: str
    family: str
    language: str
    question: str
    reference: str
    base: str
    tuned: str

    @property
    def is_same(self) -> bool:
        """Whether both models gave one answer."""
        return self.base.strip() == self.tuned.strip()


class Asked(NamedTuple):
    """What a verdict is on: `score` of the answer of `base` or `tuned`, `pair` with the first answer named, or `calibration`."""

    kind: Literal["score", "pair", "calibration"]
    id: str
    subject: str
    repeat: int


Verdicts = Mapping[Asked, Verdict]
"""One judge's verdicts, failed ones among them."""


class Sitting(NamedTuple):
    """One judge, and all that it said. `judge` is the model's name, with the server where two have the same."""

    judge: str
    server: str
    currency: str
    verdicts: Verdicts


def sit(
    items: Sequence[Item],
    labelled: Sequence[Labelled],
    judges: Sequence[JudgeSettings],
    out_dir: Path,
    *,
    mode: Mode,
    repeats: int,
) -> list[Sitting]:
    """Have every judge give all its verdicts, at the same time as the others.

    Args:
        items: what is judged. The answers of an item that are equal are a tie that nobody is asked about.
        labelled: what is scored beside it, to know the judges by.
        judges: servers and models, in the form of a recipe's section `teacher`.
        out_dir: receives `verdicts.jsonl`, and in `journal/` what a run that was cut off goes on from.
        mode: what is asked.
        repeats: how often each thing is asked.

    Returns:
        One sitting for each judge, in their order.

    Raises:
        TeacherError: a judge is named twice, or cannot be used; `where` names it.
    """
    _refuse_twins(judges)
    assert len({item.id for item in items}) == len(items), "ids of items are unique"
    requests = dict(_requests(items, labelled, mode=mode, repeats=repeats))
    sittings = _told_apart(asyncio.run(_all_sit(judges, requests, out_dir)))
    _write(sittings, out_dir / "verdicts.jsonl")
    return sittings


async def ask_all(
    judge: Teacher, requests: Sequence[Request], journal: Journal, *, window: int, advance: Callable[[], None] = lambda: None
) -> list[Verdict]:
    """The verdicts on all requests, in their order, at most `window` of them under way.

    What the journal holds is not asked; what failed is asked again next time.
    """
    places = asyncio.Semaphore(window)

    async def verdict_on(request: Request, key: str) -> Verdict:
        async with places:
            verdict = Verdict(**journal[key]) if key in journal else await _ask(judge, request)
            advance()
            return verdict

    keys = [_key(request) for request in requests]
    tasks = [asyncio.ensure_future(verdict_on(request, key)) for request, key in zip(requests, keys, strict=True)]
    verdicts: list[Verdict] = []
    try:
        for start in range(0, len(tasks), _RECORDED_AT_ONCE):
            here = slice(start, start + _RECORDED_AT_ONCE)
            found = await asyncio.gather(*tasks[here])
            new = {key: asdict(verdict) for key, verdict in zip(keys[here], found, strict=True) if not verdict.failure}
            journal.record({key: value for key, value in new.items() if key not in journal})
            verdicts.extend(found)
        return verdicts
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _ask(judge: Teacher, request: Request) -> Verdict:
    try:
        return of_reply(await judge.ask(request), request)
    except RequestFailed as failed:
        return of_failure(failed)


def _key(request: Request) -> str:
    messages = [[message.role, message.content] for message in request.messages]
    assert request.shape is not None, "every verdict has a shape"
    return digest([messages, request.temperature, request.max_tokens, request.shape.__name__, request.repeat])


async def _all_sit(judges: Sequence[JudgeSettings], requests: Mapping[Asked, Request], out_dir: Path) -> list[Sitting]:
    with progress_bar("judges", total=len(judges) * len(requests)) as bar:

        def advance() -> None:
            bar.progress.advance(bar.task)

        works = [_sits(place, judge, requests, out_dir, advance) for place, judge in enumerate(judges)]
        return list(await asyncio.gather(*works))


async def _sits(
    place: int, settings: JudgeSettings, requests: Mapping[Asked, Request], out_dir: Path, advance: Callable[[], None]
) -> Sitting:
    name = digest([settings.server, settings.model])[:8]
    # In batch files all go together; one by one, no more than keep the server busy.
    window = max(len(requests), 1) if settings.batch else _WAITING * settings.concurrency
    try:
        async with OpenAITeacher(settings, purse=f"{out_dir.resolve()}#{name}") as judge:
            with Journal(out_dir / "journal" / f"judge-{name}.jsonl") as journal:
                verdicts = await ask_all(judge, list(requests.values()), journal, window=window, advance=advance)
    except TeacherError as error:
        raise TeacherError(error.what, where=_renamed(error.where, place), hint=_renamed(error.hint, place)) from None
    currency = judge.price.currency if judge.price else ""
    return Sitting(settings.model, settings.server, currency, dict(zip(requests, verdicts, strict=True)))


def _renamed(text: str, place: int) -> str:
    """The client speaks of the recipe's `teacher`; here it is one of the judges."""
    return f"judge.by.{place}" if text == "teacher" else text.replace("teacher.", f"judge.by.{place}.")


def _refuse_twins(judges: Sequence[JudgeSettings]) -> None:
    seen: set[tuple[str, str]] = set()
    for place, judge in enumerate(judges):
        if (judge.server, judge.model) in seen:
            hint = "name another model; judge.repeats asks one judge several times"
            raise TeacherError(f"{judge.model} is named twice as a judge", where=f"judge.by.{place}", hint=hint)
        seen.add((judge.server, judge.model))


def _told_apart(sittings: Sequence[Sitting]) -> list[Sitting]:
    models = Counter(sitting.judge for sitting in sittings)
    return [
        sitting if models[sitting.judge] == 1 else sitting._replace(judge=f"{sitting.judge} at {sitting.server}")
        for sitting in sittings
    ]


def _requests(items: Sequence[Item], labelled: Sequence[Labelled], *, mode: Mode, repeats: int) -> Iterator[tuple[Asked, Request]]:
    for one in labelled:
        # The labels tell how good a judge is as it judges here: as often, and in the same way.
        for repeat in range(repeats):
            asked = Asked("calibration", one.id, "", repeat)
            yield asked, _score(one, one.answer, repeat=repeat, repeats=repeats)
    for item in items:
        for repeat in range(repeats):
            if mode != "pair":
                yield Asked("score", item.id, "base", repeat), _score(item, item.base, repeat=repeat, repeats=repeats)
                yield Asked("score", item.id, "tuned", repeat), _score(item, item.tuned, repeat=repeat, repeats=repeats)
            if mode != "score" and not item.is_same:
                yield Asked("pair", item.id, "base", repeat), _pair(item, item.base, item.tuned, repeat=repeat, repeats=repeats)
                yield Asked("pair", item.id, "tuned", repeat), _pair(item, item.tuned, item.base, repeat=repeat, repeats=repeats)


def _score(item: Item | Labelled, answer: str, *, repeat: int, repeats: int) -> Request:
    return score_request(item.question, item.reference, answer, language=item.language, repeat=repeat, repeats=repeats)


def _pair(item: Item, first: str, second: str, *, repeat: int, repeats: int) -> Request:
    return pair_request(item.question, item.reference, (first, second), language=item.language, repeat=repeat, repeats=repeats)


def _write(sittings: Sequence[Sitting], path: Path) -> None:
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", errors="replace") as lines:
        for sitting in sittings:
            for asked, verdict in sitting.verdicts.items():
                row = {"judge": sitting.judge, "server": sitting.server, **asked._asdict(), **asdict(verdict)}
                lines.write(json.dumps(row, ensure_ascii=False) + "\n")
