"""The workshop in which all tasks are done: many pieces of work at once, their rows in order, every request accounted for."""

import asyncio
import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from pydantic import BaseModel

from tunewell.generate.prompts import fill
from tunewell.records import Example
from tunewell.teacher import BudgetReached, Reply, Request, RequestFailed, Teacher

_Shape = TypeVar("_Shape", bound=BaseModel)


class Call(NamedTuple):
    """A request of a session, by its step (`doc2qa.answer`), and what came back."""

    step: str
    reply: Reply


@dataclass(slots=True)
class Usage:
    """What the answers cost when they were first asked for, each counted once. `cached` were asked for by an earlier run.

    What it says of the same answers is the same in whatever order they came.
    """

    requests: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    _costs: dict[str, float | None] = field(default_factory=dict)

    @property
    def cost(self) -> float | None:
        """The sum, which is rounded but once; None where an answer has no price."""
        costs = [cost for cost in self._costs.values() if cost is not None]
        return math.fsum(costs) if len(costs) == len(self._costs) else None

    def add(self, reply: Reply) -> None:
        """Count a reply, unless it was counted before."""
        if reply.key in self._costs:
            return
        self._costs[reply.key] = reply.cost
        self.requests += 1
        self.cached += reply.cached
        self.prompt_tokens += reply.prompt_tokens
        self.completion_tokens += reply.completion_tokens


class Session:
    """What one piece of work asks of the teacher, in one language. It keeps account of its calls; `note` is given each reply.

    The rows of one piece of work share its first calls and have later ones of their own: these go through a `branch`.
    """

    def __init__(self, teacher: Teacher, language: str, note: Callable[[Reply], None], trunk: "Session | None" = None) -> None:
        self._teacher = teacher
        self._note = note
        self._trunk = trunk
        self._branches = 0
        self.language = language
        self.calls: list[Call] = []

    def branch(self) -> "Session":
        """A session for one row, which bears its own calls and its part of those that came before it."""
        self._branches += 1
        return Session(self._teacher, self.language, self._note, self)

    async def ask(self, prompt: str, shape: type[_Shape], **values: Any) -> _Shape:
        """The answer to a prompt, such as `doc2qa.answer`, in the shape of a pydantic model. Raises `RequestFailed`."""
        filled = fill(prompt, self.language, values)
        try:
            reply = await self._teacher.ask(Request(filled.messages, filled.temperature, filled.max_tokens, shape))
        except RequestFailed as failure:
            if failure.paid:
                self._note(failure.paid)
            raise
        self._note(reply)
        self.calls.append(Call(prompt, reply))
        answer: _Shape = reply.value
        return answer

    def evidence(self) -> dict[str, Any]:
        """The teacher, and the calls behind a row, with the row's part of their tokens and money."""
        spent = self._spent()
        return {
            "teacher": self._teacher.name,
            "calls": [{"step": step, "key": reply.key, "prompt": reply.prompt} for step, reply in self._all_calls()],
            "tokens": round(spent.tokens, 1),
            "cost": None if spent.cost is None else round(spent.cost, 8),
        }

    def _all_calls(self) -> list[Call]:
        return [*(self._trunk._all_calls() if self._trunk else []), *self.calls]

    def _spent(self) -> "_Spent":
        replies = [call.reply for call in self.calls]
        costs = [reply.cost for reply in replies]
        own = _Spent(
            sum(reply.prompt_tokens + reply.completion_tokens for reply in replies),
            None if None in costs else sum(cost or 0.0 for cost in costs),
        )
        if self._trunk is None:
            return own
        before, sharers = self._trunk._spent(), self._trunk._branches
        cost = None if own.cost is None or before.cost is None else own.cost + before.cost / sharers
        return _Spent(own.tokens + before.tokens / sharers, cost)


class _Spent(NamedTuple):
    tokens: float
    cost: float | None


class Made(NamedTuple):
    """A row that a task made, the session that made it, and why it is rejected (empty: it is kept)."""

    example: Example
    session: Session
    reason: str = ""
    detail: str = ""


class Failed(NamedTuple):
    """A piece of work whose request got no usable answer, and why."""

    task: str
    item: str
    reason: str
    detail: str
    key: str


class Skipped(Exception):
    """A piece of work that gives no row, by its nature and not by a fault: a chunk without anything to ask about."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Job(Protocol):
    """A piece of work: what it is known by, and the language of its prompts."""

    @property
    def id(self) -> str:
        """What the piece of work is known by where it fails: the id of a chunk or a row."""
        ...

    @property
    def language(self) -> str:
        """`en` or `zh`."""
        ...


_Job = TypeVar("_Job", bound=Job)
Outcome = Made | RequestFailed
"""A row, or the failure of the request that was to make it."""


async def together(rows: Iterable[Awaitable[Made]]) -> list[Outcome]:
    """The rows of one piece of work, made at the same time; where a request fails, the other rows are kept."""
    outcomes = await asyncio.gather(*rows, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, RequestFailed):
            raise outcome
    return [outcome for outcome in outcomes if isinstance(outcome, Made | RequestFailed)]


def _as_it_is(made: Made) -> Made:
    return made


class _UnderWay(NamedTuple, Generic[_Job]):
    """A piece of work that is being done, and the replies it has had."""

    job: _Job
    work: asyncio.Task[Sequence[Outcome]]
    replies: list[Reply]


_Result = TypeVar("_Result")


@dataclass(slots=True)
class Workshop:
    """Does pieces of work at the same time, at most `window` of them.

    `failed` receives those that failed, and `skipped` those that have no row in them; `passed_over` counts, by reason, the rows of
    the material that a task looked at and did not begin with. `usage` is that of the work that `each` has handed on: how much was
    begun beside it and given up hangs on timing.
    """

    teacher: Teacher
    window: int = 64
    failed: list[Failed] = field(default_factory=list)
    skipped: list[Failed] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    usage: Usage = field(default_factory=Usage)
    is_out_of_budget: bool = False

    def session(self, language: str) -> Session:
        """A session that asks this workshop's teacher."""
        return Session(self.teacher, language, self.usage.add)

    async def each(
        self,
        task: str,
        jobs: Iterable[_Job],
        make: Callable[[_Job, Session], Coroutine[Any, Any, Sequence[Outcome]]],
        *,
        rows: int,
        admit: Callable[[Made], Made] = _as_it_is,
    ) -> AsyncIterator[Made]:
        """The rows that `make` makes of each job, in the order of the jobs, until `rows` of them are kept.

        `admit` sees each row in that order and may still reject it. Work that is under way when all rows are there is given up,
        and so is everything once the budget is reached. A kept row too many of the last job is rejected as `surplus`. A job that
        fails, or one of its rows, is noted in `failed`, and one that raises `Skipped` in `skipped`.
        """
        under_way: deque[_UnderWay[_Job]] = deque()
        waiting = iter(jobs)
        kept = done = 0
        try:
            while kept < rows:
                # No more than it will likely take, by what a job has given so far: what is given up was paid for.
                enough = min(self.window, math.ceil((rows - kept) * (done + 1) / (kept + 1)))
                while len(under_way) < enough and not self.is_out_of_budget and (job := next(waiting, None)) is not None:
                    replies: list[Reply] = []
                    session = Session(self.teacher, job.language, replies.append)
                    under_way.append(_UnderWay(job, asyncio.ensure_future(make(job, session)), replies))
                if not under_way:
                    return
                job, work, replies = under_way.popleft()
                done += 1
                outcome = await self._outcome(task, job, work)
                for reply in replies:
                    self.usage.add(reply)
                for made in map(admit, outcome):
                    kept += not made.reason
                    yield made if kept <= rows or made.reason else made._replace(reason="surplus", detail=f"{rows} are asked for")
        finally:
            for given_up in under_way:
                given_up.work.cancel()
            await asyncio.gather(*(given_up.work for given_up in under_way), return_exceptions=True)

    async def gather(
        self, task: str, jobs: Sequence[_Job], make: Callable[[_Job], Awaitable[list[_Result]]]
    ) -> list[list[_Result]]:
        """What `make` makes of each job, in their order, all at the same time. A job that fails gives nothing and is noted."""
        works = [asyncio.ensure_future(make(job)) for job in jobs]
        try:
            return [await self._outcome(task, job, work) for job, work in zip(jobs, works, strict=True)]
        finally:
            for work in works:
                work.cancel()
            await asyncio.gather(*works, return_exceptions=True)

    async def _outcome(self, task: str, job: _Job, work: Awaitable[Sequence[_Result | RequestFailed]]) -> list[_Result]:
        outcomes: Sequence[_Result | RequestFailed] = ()
        try:
            outcomes = await work
        except RequestFailed as failure:
            outcomes = [failure]
        except Skipped as skipped:
            self.skipped.append(Failed(task, job.id, skipped.reason, skipped.detail, ""))
        failures = [outcome for outcome in outcomes if isinstance(outcome, RequestFailed)]
        self.is_out_of_budget |= any(isinstance(failure, BudgetReached) for failure in failures)
        self.failed.extend(Failed(task, job.id, failure.reason, failure.detail, failure.key) for failure in failures)
        return [outcome for outcome in outcomes if not isinstance(outcome, RequestFailed)]
