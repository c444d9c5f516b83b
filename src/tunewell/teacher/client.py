"""The teacher behind an OpenAI-compatible server.

A request is looked up in the cache; else it waits its turn, is sent as often as it takes, and its answer is on disk before
anybody sees it. So nothing is paid for twice, whenever the process ends.
"""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import openai
import platformdirs

from tunewell.errors import TeacherError
from tunewell.recipe import Teacher as Settings
from tunewell.records import Message
from tunewell.store import digest
from tunewell.teacher.answers import Problem, correction, in_words, read, response_format, schema_of, without_thoughts
from tunewell.teacher.batch import BATCH_REQUESTS, Batches
from tunewell.teacher.cache import Cache, Completion
from tunewell.teacher.limits import Charge, Pace, Purse
from tunewell.teacher.prices import price_of
from tunewell.teacher.protocol import BudgetReached, Reply, Request, RequestFailed
from tunewell.teacher.secrets import hider, is_on_this_machine, read_key
from tunewell.teacher.transport import Live, Refused, TooMany, Transport, Unavailable
from tunewell.text import well_formed

_TRIES = {"server_error": 6, "timed_out": 3, "too_many": 100}
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_LONGEST_PAUSE_OF_ABSENCE = 4.0
_MOST_DOUBLINGS = 10
_SECONDS_TO_FINISH = 10.0
_SECONDS_TO_APPEAR = 30.0
_BYTES_A_TOKEN = 2
_TOKENS_A_MESSAGE = 8
_MOST_TOKENS = 1 << 40


class Spent(NamedTuple):
    """What this process asked: requests, how many of them the cache answered, and what the others cost."""

    requests: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0


class OpenAITeacher:
    """A `Teacher`; also an async context manager, which lets requests that are under way end, since they are paid for.

    Args:
        settings: the section `teacher` of a recipe, with `server` and `model`.
        cache: the SQLite file of answers; the user's own unless given.
        purse: whose budget it is; what earlier processes paid for the same purse counts.
    """

    def __init__(self, settings: Settings, cache: Path | None = None, *, purse: str = "") -> None:
        if not (settings.server and settings.model):
            what = "no teacher is named, and a task needs one"
            raise TeacherError(what, where="teacher", hint="set teacher.server and teacher.model")
        self.name = settings.model
        self.server = settings.server.rstrip("/")
        self.price = price_of(settings)
        self.spent = Spent()
        self._settings = settings
        self._secret = read_key(settings.key, self.server)
        self._hide = hider(self._secret)
        self._cache = Cache(cache or default_cache())
        self._purse_name = purse
        self._purse = Purse(self._cache.bill(purse), tokens=settings.budget.tokens, money=settings.budget.money)
        self._pace = _pace(settings)
        self._not_taken: set[str] = set()
        self._failing_since: float | None = None
        self._has_answered = False
        self.trouble = ""
        self._under_way: dict[str, _UnderWay] = {}

    async def __aenter__(self) -> Self:
        self._client = openai.AsyncOpenAI(
            base_url=self.server,
            api_key=self._secret,
            max_retries=0,
            timeout=self._settings.timeout,
            # The way to a server on this machine leads through no proxy.
            http_client=openai.DefaultAioHttpClient(timeout=self._settings.timeout, trust_env=not is_on_this_machine(self.server)),
        )
        self._transport: Transport = (
            Batches(self._client, self._cache.folder, secret=self._secret, patience=self._settings.patience)
            if self._settings.batch
            else Live(self._client, secret=self._secret, timeout=self._settings.timeout)
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        under_way = [work.task for work in self._under_way.values()]
        if under_way and not self._settings.batch:
            await asyncio.wait(under_way, timeout=None if kind is None else _SECONDS_TO_FINISH)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await self._client.close()
        await self._cache.settled()
        self._cache.close()

    async def ask(self, request: Request) -> Reply:
        """The reply. A first answer that is of no use is shown to the model with what is wrong with it, and asked again.

        Raises `RequestFailed`, or `TeacherError` where the server as a whole cannot be used.
        """
        asked = [await self._complete(request)]
        value = read(asked[0].completion, request.shape)
        if isinstance(value, Problem) and value.reason != "refused":
            try:
                asked.append(await self._complete(_asked_again(request, asked[0].completion, value)))
            except RequestFailed as failure:
                failure.paid = _reply(asked, None)
                raise
            value = read(asked[1].completion, request.shape)
        if isinstance(value, Problem):
            raise RequestFailed(*value, key=asked[0].key, paid=_reply(asked, None))
        return _reply(asked, value)

    async def _complete(self, request: Request) -> "_Asked":
        """The completion of a request, by the cache or by the server; requests that are equal are sent once."""
        prompt = digest(_messages(request))
        schema = request.shape and schema_of(request.shape)
        key = digest([self.server, self.name, prompt, request.temperature, request.max_tokens, schema, request.repeat])
        completion = self._cache.get(key)
        if completion is not None:
            self._count(completion, cached=True)
            return _Asked(completion, key, prompt, cached=True)
        work = self._under_way.get(key)
        if work is None:
            work = self._under_way[key] = _UnderWay(asyncio.create_task(self._fetch(key, request)))
            work.task.add_done_callback(lambda done: self._forget(key, done))
        work.waiting += 1
        try:
            # Whoever waits may be cancelled; a request that was sent is paid for and goes on.
            return _Asked(await asyncio.shield(work.task), key, prompt, cached=False)
        finally:
            work.waiting -= 1
            if not (work.waiting or work.is_sent or work.task.done()):
                del self._under_way[key]
                work.task.cancel()

    def _forget(self, key: str, done: "asyncio.Task[Completion]") -> None:
        if key in self._under_way and self._under_way[key].task is done:
            del self._under_way[key]
        if not done.cancelled():
            done.exception()  # looked at, so that nobody complains where all who waited are gone

    async def _fetch(self, key: str, request: Request) -> Completion:
        texts = [message.content for message in request.messages] + ([in_words(request.shape)] if request.shape else [])
        size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
        prompt_tokens = size // _BYTES_A_TOKEN + _TOKENS_A_MESSAGE * len(request.messages)
        most = Charge(prompt_tokens + request.max_tokens, self._cost(prompt_tokens, request.max_tokens) or 0.0)
        if not await self._purse.set_aside(most):
            raise BudgetReached(str(self._purse), key=key)
        paid = Charge(0, 0.0)
        try:
            body, completion = await self._send(key, request, tokens=most.tokens)
            paid = Charge(completion.prompt_tokens + completion.completion_tokens, completion.cost or 0.0)
            await self._cache.put(key, completion, request=body, purse=self._purse_name)
        except RequestFailed as failure:
            if failure.reason in {"timed_out", "server_error"}:
                paid = most  # an answer that did not arrive may be billed all the same
            raise
        finally:
            self._purse.settle(aside=most, paid=paid)
        self._count(completion, cached=False)
        return completion

    async def _send(self, key: str, request: Request, *, tokens: int) -> "_Answered":
        """The server's answer, after as many attempts as its failures warrant."""
        failures: Counter[str] = Counter()
        while True:
            await self._pace.enter(tokens)
            self._under_way[key].is_sent = True
            try:
                body = self._body(request)
                answer = await self._transport.send(_idempotency_key(key, body), body)
                completion = self._completion(answer, body)
            except Refused as refusal:
                if refusal.parameter not in body:
                    raise RequestFailed("refused", str(refusal), key=key) from None
                self._not_taken.add(refusal.parameter)
                self._note_answer()
                pause = 0.0
            except (TooMany, Unavailable) as failure:
                pause = self._pause_after(failure, failures, key)
            else:
                self._note_answer()
                return _Answered(body, completion)
            finally:
                self._pace.leave()
            await asyncio.sleep(pause)

    def _pause_after(self, failure: TooMany | Unavailable, failures: Counter[str], key: str) -> float:
        """Seconds until the next attempt. Raises `RequestFailed` where there is none, `TeacherError` where the server is gone."""
        now = time.monotonic()
        self._failing_since = self._failing_since or now
        self.trouble = str(failure)
        # Who asks for rest is there. Of a server that never was, little patience is expected.
        is_there = self._has_answered or isinstance(failure, TooMany)
        patience = self._settings.patience if is_there else min(self._settings.patience, _SECONDS_TO_APPEAR)
        # Of a batch, what it left undone says nothing about the server; whether that can be reached is for `Batches` to see.
        if not self._settings.batch and now - self._failing_since > patience:
            what = f"no answer from {self.server} for {patience:g} seconds; the last failure: {failure}"
            hint = (
                "what was answered is kept; the same command goes on"
                if is_there
                else "is the server running, and is this its address?"
            )
            raise TeacherError(what, where="teacher.server", hint=hint)
        reason = "too_many" if isinstance(failure, TooMany) else failure.reason
        failures[reason] += 1
        if failures[reason] == _TRIES.get(reason):
            raise RequestFailed(reason, str(failure), key=key)
        doublings = min(failures.total() - 1, _MOST_DOUBLINGS)
        # To see whether a server is back costs it nothing.
        longest = _LONGEST_PAUSE_OF_ABSENCE if reason == "unreachable" else _LONGEST_PAUSE
        pause: float = min(_FIRST_PAUSE * 2**doublings, longest) * random.uniform(0.5, 1.0)  # noqa: S311
        if isinstance(failure, TooMany) and failure.seconds is not None:
            # Not all at the same moment, which would be too many again.
            pause = failure.seconds + random.uniform(0.0, 0.2)  # noqa: S311
        if reason in {"too_many", "unreachable"}:
            self._pace.rest(pause)
            return 0.0
        return pause

    def _note_answer(self) -> None:
        self._has_answered, self._failing_since, self.trouble = True, None, ""

    def _body(self, request: Request) -> dict[str, Any]:
        """The request as the server takes it, by what it has refused so far."""
        messages = _messages(request)
        body: dict[str, Any] = {"model": self.name, "messages": messages}
        if "temperature" not in self._not_taken:
            body["temperature"] = request.temperature
        body["max_completion_tokens" if "max_tokens" in self._not_taken else "max_tokens"] = request.max_tokens
        if request.shape is not None:
            if "response_format" in self._not_taken:
                messages[-1]["content"] += f"\n\n{in_words(request.shape)}"
            else:
                body["response_format"] = response_format(request.shape)
        return body

    def _completion(self, answer: Mapping[str, Any], body: Mapping[str, Any]) -> Completion:
        """The completion in a server's answer; a key that it echoes is hidden. Raises `Unavailable` where there is none."""
        try:
            choice = answer["choices"][0]
            message = choice["message"]
            text = self._hide(_plain(message.get("content")))
        except (KeyError, IndexError, TypeError, AttributeError):
            raise Unavailable("server_error", "the answer has no `choices[0].message`") from None
        asked = json.dumps(body["messages"], ensure_ascii=False)
        prompt_tokens = _tokens(answer.get("usage"), "prompt_tokens", asked)
        completion_tokens = _tokens(answer.get("usage"), "completion_tokens", text)
        cost = self._cost(prompt_tokens, completion_tokens)
        finish, refusal = _text(choice.get("finish_reason")), self._hide(_text(message.get("refusal")))
        return Completion(text, finish, refusal, prompt_tokens, completion_tokens, cost)

    def _cost(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        return None if self.price is None else self.price.of(prompt_tokens, completion_tokens)

    def _count(self, completion: Completion, *, cached: bool) -> None:
        spent = self.spent
        self.spent = (
            spent._replace(requests=spent.requests + 1, cached=spent.cached + 1)
            if cached
            else Spent(
                spent.requests + 1,
                spent.cached,
                spent.prompt_tokens + completion.prompt_tokens,
                spent.completion_tokens + completion.completion_tokens,
                spent.cost + (completion.cost or 0.0),
            )
        )


@dataclass(slots=True)
class _UnderWay:
    """A request that is asked for: how many wait for its answer, and whether it may have been paid for."""

    task: asyncio.Task[Completion]
    waiting: int = 0
    is_sent: bool = False


class _Asked(NamedTuple):
    completion: Completion
    key: str
    prompt: str
    cached: bool


class _Answered(NamedTuple):
    body: dict[str, Any]
    completion: Completion


def default_cache() -> Path:
    """The file of answers that all runs of this user share."""
    return Path(platformdirs.user_cache_dir("tunewell")) / "teacher.sqlite"


def _pace(settings: Settings) -> Pace:
    """The pace of single requests; what goes into batch files has limits of its own."""
    if settings.batch:
        return Pace(in_flight=BATCH_REQUESTS)
    return Pace(
        in_flight=settings.concurrency,
        requests_per_minute=settings.requests_per_minute,
        tokens_per_minute=settings.tokens_per_minute,
    )


def _messages(request: Request) -> list[dict[str, str]]:
    return [{"role": message.role, "content": well_formed(message.content)} for message in request.messages]


def _reply(asked: Sequence[_Asked], value: Any) -> Reply:
    completions = [each.completion for each in asked]
    costs = [completion.cost for completion in completions]
    return Reply(
        text=without_thoughts(completions[-1].text),
        value=value,
        key=asked[-1].key,
        prompt=asked[0].prompt,
        prompt_tokens=sum(completion.prompt_tokens for completion in completions),
        completion_tokens=sum(completion.completion_tokens for completion in completions),
        cost=None if None in costs else sum(cost or 0.0 for cost in costs),
        cached=all(each.cached for each in asked),
    )


def _asked_again(request: Request, completion: Completion, problem: Problem) -> Request:
    text = without_thoughts(completion.text)
    answered = [Message("assistant", text)] if text and problem.reason != "cut" else []
    if answered:
        messages = (*request.messages, *answered, Message("user", correction(problem, request.shape)))
    else:
        # Two user turns in a row are refused by many chat templates.
        *before, last = request.messages
        messages = (*before, Message(last.role, f"{last.content}\n\n{correction(problem, request.shape)}"))
    return replace(request, messages=messages)


def _idempotency_key(key: str, body: Mapping[str, Any]) -> str:
    """The key of what is really sent: a request that is put in other words is another one."""
    return f"{key}-{'-'.join(sorted(body.keys() - {'messages', 'model'}))}"


def _plain(content: Any) -> str:
    """The text of a message, which some servers give in parts."""
    text = "".join(str(part.get("text") or "") for part in content) if isinstance(content, list) else content or ""
    return well_formed(text)


def _text(value: Any) -> str:
    return "" if not value else well_formed(value if isinstance(value, str) else json.dumps(value))


def _tokens(usage: Any, name: str, text: str) -> int:
    """How many tokens a server bills; where it does not say, as many as the text may have at most."""
    count = usage.get(name) if isinstance(usage, dict) else None
    if isinstance(count, int | float) and 0 < count < _MOST_TOKENS:
        return int(count)
    return len(text.encode("utf-8", "surrogatepass")) // _BYTES_A_TOKEN
