"""The rules that compare rows with each other: decided over columns of all rows, none of their texts in memory."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tunewell.clean.keys import Keys, RowKeys

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]

_NONE = -1


class Found(NamedTuple):
    """What a rule found: the rows, and for each row the number of the row it was compared with (-1 where that says nothing)."""

    rows: Flags
    rivals: Numbers


class Decision(NamedTuple):
    """For each row the place in `rules` of the rule that drops it (-1: none does), and the number of its rival (-1: none)."""

    rule: npt.NDArray[np.int8]
    rival: Numbers


def decide(alive: Flags, rules: Sequence[Callable[[Flags], Found]]) -> Decision:
    """Apply rules one after the other, each to the rows that the earlier ones left. Dead rows stay without a rule."""
    decision = Decision(np.full(len(alive), _NONE, np.int8), np.full(len(alive), _NONE, np.int64))
    for place, rule in enumerate(rules):
        found = rule(alive)
        rows = found.rows & alive
        decision.rule[rows] = place
        decision.rival[rows] = found.rivals[rows]
        alive = alive & ~rows
    return decision


def contamination(families: Keys, tainted: Keys, alive: Flags) -> Found:
    """The rows of families that give away the test; `contamination.contaminated` says which these are."""
    return _without_rival(alive & np.isin(families, tainted))


def duplicate(conversations: Keys, alive: Flags) -> Found:
    """A conversation that stands there already.

    What it drops: rows whose whole conversation, roles and texts after `text.normalise`, is that of an earlier row which no rule
    before this one has dropped.
    Why: a row that stands there twice is learnt twice as hard, by no one's decision.
    Example: "Where is my payout?" and "where is my  payout?" with the same answer.
    Known problems: where case or width carries meaning ("us", "US"), two rows count as one.
    Source: the exact deduplication of self-instruct (`prepare_for_finetuning.py`), here after normalising.
    """
    rows = np.flatnonzero(alive)
    _, first, group = np.unique(conversations[rows], return_index=True, return_inverse=True)
    rivals = np.full(len(alive), _NONE, np.int64)
    rivals[rows] = rows[first[group]]
    return Found(alive & (rivals != np.arange(len(alive))), rivals)


def contradiction(keys: RowKeys, is_multi_turn: Flags, alive: Flags) -> Found:
    """A question that stands there with different answers.

    What it drops: every single-turn row whose question and system text occur with more than one answer, all of them compared
    after `text.normalise`. None is kept, for nothing says which is right.
    Why: the model would learn to mix the answers.
    Example: "What is the fee?" answered with "1 %" in one row and "1.5 %" in another.
    Known problems: two right answers in different words count as different.
    Source: `filter_duplicate_instances` of self-instruct (`prepare_for_finetuning.py`): where two instances share their input
    but not their output, all instances are dropped.
    """
    single = alive & ~is_multi_turn
    rows = np.flatnonzero(single)
    rows = rows[np.argsort(keys.question[rows], kind="stable")]
    question, answer = keys.question[rows], keys.answer[rows]
    disputed = question[1:][(question[1:] == question[:-1]) & (answer[1:] != answer[:-1])]
    return _without_rival(single & np.isin(keys.question, disputed))


def near(rivals: Numbers) -> Found:
    """The finding of a search that gave each row's rival, or -1."""
    return Found(rivals != _NONE, rivals)


def _without_rival(rows: Flags) -> Found:
    return Found(rows, np.full(len(rows), _NONE, np.int64))
