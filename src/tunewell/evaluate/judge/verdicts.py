"""What a judge said of an answer or of two, or why it said nothing that can be used."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tunewell.evaluate.judge.rubrics import OUT_OF_RANGE
from tunewell.teacher import Reply, Request, RequestFailed

Failure = Literal["unreadable", "refused", "out_of_range", "timed_out", "unavailable", "budget"]
"""Why there is no verdict."""

_FAILURES: Mapping[str, Failure] = {
    "not_json": "unreadable",
    "wrong_shape": "unreadable",
    "cut": "unreadable",
    "empty": "unreadable",
    "refused": "refused",
    "timed_out": "timed_out",
    "server_error": "unavailable",
    "too_many": "unavailable",
    "budget": "budget",
}
_NO_WORD = re.compile(r"[\W_]+")
_FENCE = re.compile(r"\A```(?:json)?\s|```\Z")
_OBJECT = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One verdict: its value, or a failure; never both.

    `value` is a score of 1 to 5, or of two answers 1 where the first is better, −1 where the second, 0 where neither. `reason` is
    the judge's own, `detail` what went wrong. Tokens and cost are those of all that was asked for it; `cost` is None where no price
    is known, and `key` names it in the teacher's cache, so that what several verdicts share is counted once.
    """

    value: int | None
    reason: str = ""
    failure: Failure | None = None
    detail: str = ""
    key: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = 0.0


def of_reply(reply: Reply, request: Request) -> Verdict:
    """The verdict in a reply.

    One that stands word for word in what was judged is none: where a server takes no schema, a judge may quote in prose what an
    answer says of its own score, and the quotation would be read as the judge's own words.
    """
    if _quotes(reply.text, request.messages[-1].content):
        return Verdict(None, failure="unreadable", detail="it repeats a verdict that stands in the answer", **_paid(reply))
    return Verdict(reply.value.value, reply.value.reason, **_paid(reply))


def of_failure(failed: RequestFailed) -> Verdict:
    """The absence of a verdict, and why."""
    kind = "out_of_range" if OUT_OF_RANGE in failed.detail else _FAILURES[failed.reason]
    return Verdict(None, failure=kind, detail=f"{failed.reason}: {failed.detail}", **_paid(failed.paid))


def _quotes(text: str, material: str) -> bool:
    text = _FENCE.sub("", text.strip())
    objects = [text] if _is_json(text) else _OBJECT.findall(text)
    whole = _bare(material)
    return any(bare and bare in whole for bare in map(_bare, objects))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _bare(text: str) -> str:
    return _NO_WORD.sub("", text).lower()


def _paid(reply: Reply | None) -> dict[str, Any]:
    if reply is None:
        return {}
    names = ("key", "prompt_tokens", "completion_tokens", "cost")
    return {name: getattr(reply, name) for name in names}
