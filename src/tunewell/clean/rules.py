"""The rules of cleaning that look at one row alone, in the order in which they are applied.

A rule is a pure function over a batch of rows: for each row what it saw (the detail kept with the dropped row), or None where
the row may stay. Its name is the reason that stands in `dropped` and in the funnel. Each rule takes a cheap first look at all
texts at once and reads only those that the first look points out.
"""

import re
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tunewell.clean.batch import Batch, Details
from tunewell.clean.noise import noise
from tunewell.clean.personal import personal
from tunewell.clean.reviewed import rejected
from tunewell.clean.superseded import superseded
from tunewell.clean.words import blacklist, control_tokens
from tunewell.recipe import Clean, RuleName
from tunewell.records import LABEL_TASKS
from tunewell.text import normalise

RULES: tuple[RuleName, ...] = typing.get_args(RuleName)
"""Every reason there is, in the order in which the rules are applied, those that compare rows among them: a row is dropped by the
first that finds something."""

_PLAIN = re.compile(r"(?:[a-z0-9\u4e00-\u9fff]+ ?)*")
_SPEAKERS = (("user", "question"), ("assistant", "answer"))


class Rule(NamedTuple):
    """A reason, and the check that gives it."""

    reason: RuleName
    check: Callable[[Batch], Details]


class Verdict(NamedTuple):
    """Why a row is dropped: the rule that did it, and what it saw."""

    reason: RuleName
    detail: str


class Known(NamedTuple):
    """Rows, by id, of which it was decided elsewhere that they go, each with the detail."""

    rejected: Mapping[str, str] = {}
    superseded: Mapping[str, str] = {}


def own_rules(clean: Clean, contacts: Sequence[str] = (), known: Known = Known()) -> tuple[Rule, ...]:  # noqa: B008  it does not change
    """The rules that look at one row alone, in their order, with their settings, less those that `clean.skip` turns off.

    `contacts` are the values that are not personal. `personal` is among the rules where it drops rows; where it masks, see
    `personal.mask`.
    """
    rules = [
        Rule("rejected", partial(rejected, details=known.rejected)),
        Rule("superseded", partial(superseded, details=known.superseded)),
        Rule("empty", empty),
        Rule("too_short", partial(too_short, min_chars=clean.min_chars)),
        Rule("too_long", partial(too_long, max_chars=clean.max_chars)),
        Rule("language", partial(language, languages=tuple(clean.languages))),
        Rule("noise", partial(noise, share=clean.noise)),
        Rule("blacklist", blacklist),
        Rule("echo", echo),
        Rule("control_tokens", control_tokens),
    ]
    if clean.personal == "drop":
        rules.append(Rule("personal", partial(personal, contacts=tuple(contacts))))
    return tuple(rule for rule in rules if rule.reason not in clean.skip)


def first_reasons(batch: Batch, rules: Sequence[Rule]) -> list[Verdict | None]:
    """For each row the verdict of the first rule that finds something; later rules do not see the row."""
    verdicts: list[Verdict | None] = [None] * batch.rows
    alive = np.arange(batch.rows)
    for rule in rules:
        details = rule.check(batch)
        for row, detail in zip(alive.tolist(), details, strict=True):
            verdicts[row] = None if detail is None else Verdict(rule.reason, detail)
        stays = np.array([detail is None for detail in details], np.bool_)
        if not stays.all():
            alive = alive[stays]
            batch = Batch(batch.table.filter(pa.array(stays)))
    return verdicts


def empty(batch: Batch) -> Details:
    """A conversation without a question or an answer.

    What it drops: rows with no user turn, no assistant turn, or a user or assistant turn that is blank.
    Why: there is nothing to learn from a blank answer but silence.
    Example: `{"question": "When is payout?", "answer": "  "}`.
    Known problems: a turn of a single zero-width character is not blank to Python and stays.
    Source: `filter_invalid_instances` of self-instruct (`prepare_for_finetuning.py`) drops empty outputs.
    """
    found: list[tuple[int, str]] = []
    for role, name in _SPEAKERS:
        places = batch.places(role)
        turns = np.bincount(batch.owners[places], minlength=batch.rows)
        found += [(row, f"no {name}") for row in np.flatnonzero(turns == 0).tolist()]
        found += [(row, f"blank {name}") for row in batch.owners[places[batch.lengths[places] == 0]].tolist()]
    return batch.first_of(found)


def too_short(batch: Batch, *, min_chars: int) -> Details:
    """A question or an answer of too few characters.

    What it drops: rows whose first question, or any answer, has fewer than `clean.min_chars` characters without outer space.
    The answers of tasks that choose between labels (`similarity`, `classification`) may be of any length.
    Why: "k" or "?" says nothing on its own.
    Example: `{"question": "?", "answer": "How can I help?"}`.
    Known problems: a right answer can be one character long (`7`, `是`): set `clean.min_chars: 1`. Later questions of a
    conversation are not measured, since "y" answers a question of the assistant.
    Source: the length bounds of Stanford Alpaca (`generate_instruction.py`), by characters so that Chinese is measured too.
    """
    users, answers = batch.places("user"), batch.places("assistant")
    first_users = users[np.unique(batch.owners[users], return_index=True)[1]]
    is_label = np.isin(batch.values("task"), LABEL_TASKS)
    answers = answers[~is_label[batch.owners[answers]]]
    return batch.first_of(
        (row, f"{name} has {length} characters, fewer than {min_chars}")
        for name, places in (("question", first_users), ("answer", answers))
        for row, length in _lengths(batch, places[batch.lengths[places] < min_chars])
    )


def too_long(batch: Batch, *, max_chars: int) -> Details:
    """A question or an answer of too many characters.

    What it drops: rows with a user or assistant turn of more than `clean.max_chars` characters without outer space.
    Why: such rows are mostly pasted logs or pages, and would not fit the context of training.
    Example: an answer that holds a whole terms-of-service page.
    Known problems: characters are not tokens; `train.context` decides afterwards, and lists what it leaves out.
    Source: as for `too_short`.
    """
    return batch.first_of(
        (row, f"{name} has {length} characters, more than {max_chars}")
        for role, name in _SPEAKERS
        for row, length in _lengths(batch, batch.places(role)[batch.lengths[batch.places(role)] > max_chars])
    )


def language(batch: Batch, *, languages: Collection[str]) -> Details:
    """A row in a language that is not wanted.

    What it drops: rows whose language is none of `clean.languages`; with no languages given, none.
    Why: a model tuned on one language answers better in it without stray rows of another.
    Example: a Chinese question where `clean.languages` is `[en]`.
    Known problems: rows of undecided language (numbers, code) are kept, and the language is told by script alone.
    Source: the language filter of datatrove (`filters/language_filter.py`), with the script in place of a classifier.
    """
    if not languages:
        return batch.nothing()
    return [f"language is {found}" if found and found not in languages else None for found in batch.values("language")]


def echo(batch: Batch) -> Details:
    """An answer that only repeats the question.

    What it drops: rows in which an answer equals the user turn before it, or the last answer equals the first question, after
    `text.normalise`; and rows in which such an answer is the beginning of the question, with nothing new, and at least half as
    long as the question and 10 characters.
    Why: the model would learn to say the question back.
    Example: "Where is my payout?" answered with "where is my payout?".
    Known problems: greetings ("Hi" answered with "Hi") and exercises whose right answer is the text itself ("Repeat: …" passes,
    a bare sentence to be corrected that has no mistake does not). An answer in other words that says nothing new passes.
    Source: self-instruct (`prepare_for_finetuning.py`) drops an instance whose input equals its output, compared character by
    character; the input alone, below the instruction, is not compared here.
    """
    heads = [_head(text) for text in pc.utf8_slice_codeunits(batch.trimmed, 0, 16).to_pylist()]
    # In a row of one turn both ways of pairing give the same pair.
    pairs = [pair for pair in dict.fromkeys(_questions_and_answers(batch)) if _may_agree(heads[pair.question], heads[pair.answer])]
    questions = batch.turns(np.array([pair.question for pair in pairs], np.int64))
    answers = batch.turns(np.array([pair.answer for pair in pairs], np.int64))
    details = ((turn.row, _repeats(turn.text, answer.text)) for turn, answer in zip(questions, answers, strict=True))
    return batch.first_of((row, detail) for row, detail in details if detail)


class _Pair(NamedTuple):
    """The places of a question and its answer among all messages."""

    question: int
    answer: int


def _lengths(batch: Batch, places: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    return list(zip(batch.owners[places].tolist(), batch.lengths[places].tolist(), strict=True))


def _questions_and_answers(batch: Batch) -> Iterator[_Pair]:
    """Each answer with the user turn right before it, and each row's last answer with its first question."""
    users, answers = batch.places("user"), batch.places("assistant")
    next_to = answers[np.isin(answers - 1, users)]
    next_to = next_to[batch.owners[next_to] == batch.owners[next_to - 1]]
    yield from map(_Pair, (next_to - 1).tolist(), next_to.tolist())
    firsts = dict(zip(batch.owners[users][::-1].tolist(), users[::-1].tolist(), strict=True))
    lasts = dict(zip(batch.owners[answers].tolist(), answers.tolist(), strict=True))
    yield from (_Pair(firsts[row], last) for row, last in lasts.items() if row in firsts)


def _head(start: str) -> str:
    """The plain letters at the start of a text, in lower case: normalising leaves them as they are.

    Where an accent follows the last one, the two become a letter that is no plain one, in this text as in its equal.
    """
    plain = _PLAIN.match(start.lower())
    assert plain, "the pattern matches nothing at all, too"
    return plain.group()


def _may_agree(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _repeats(question: str, answer: str) -> str | None:
    question, answer = normalise(question), normalise(answer)
    if not answer or not question.startswith(answer):
        return None
    if question == answer:
        return "answer equals the question"
    is_long = len(answer) >= max(10, len(question) / 2)
    return "answer is the beginning of the question" if is_long else None
