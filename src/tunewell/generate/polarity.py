"""Whether two texts that should say the same thing say yes and no to it alike."""

import re
from collections.abc import Collection, Iterator
from functools import cache
from typing import NamedTuple

from tunewell.bundled import read_yaml
from tunewell.text import tokens

# Dice coefficient of their words from which two statements are about the same thing.
_ALIKE = 0.5


class _Statement(NamedTuple):
    words: frozenset[str]
    is_negated: bool
    bound: str


def same_polarity(text: str, other: str) -> bool:
    """Whether no statement of one text is denied in the other.

    Each statement is compared with the one of the other text that shares the most words with it, where each is the other's
    nearest: they conflict if one of them is negated an odd number of times and the other is not. Texts without statements alike
    do not conflict. The words are data (`polarity.yaml`): negations, words that say no (refused, free, 禁止, 免费), and what only
    looks like a negation (not only, 不仅, 特别).

    Known problems: opposites that are in no list are not seen (open, closed); a denial in quite other words is not seen; a
    negation in another part of the sentence (不是每天 and 每天不) counts as the same; two ways of saying the same with and
    without a negation ("it is optional", "it is not required") count as different where they share most of their words.

    >>> same_polarity("可以退货", "不可以退货"), same_polarity("不支持7天无理由退货", "不能7天无理由退货")
    (False, True)
    >>> same_polarity("You cannot return it after 30 days.", "Returns are not accepted after 30 days.")
    True
    """
    left, right = _statements(text), _statements(other)
    nearest_left = {two: _nearest(two, left) for two in right if left}
    nearest_right = {one: _nearest(one, right) for one in left if right}
    return not any(_differ(one, two) and nearest_left[two] == one for one, two in nearest_right.items())


def _differ(one: _Statement, two: _Statement) -> bool:
    return one.is_negated != two.is_negated and _alike(one, two) >= _ALIKE


def _nearest(one: _Statement, others: Collection[_Statement]) -> _Statement:
    """The statement most like it; of several, one that says yes or no alike."""
    return max(others, key=lambda two: (_alike(one, two), one.is_negated == two.is_negated))


def _alike(one: _Statement, two: _Statement) -> float:
    """How much two statements share. A bare yes or no could be about any other."""
    if one.bound and two.bound and one.bound != two.bound:
        return 0.0
    if not one.words or not two.words:
        return 1.0 if one.words == two.words else _ALIKE
    return 2 * len(one.words & two.words) / (len(one.words) + len(two.words))


def _statements(text: str) -> Collection[_Statement]:
    """The statements of a text: its clauses, and its sentences, since another may say in one clause what this says in two."""
    return dict.fromkeys(statement for sentence in _pattern("sentences").split(text) for statement in _of_sentence(sentence))


def _of_sentence(sentence: str) -> Iterator[_Statement]:
    whole = _pattern("conditions").sub(lambda found: f"{found.group()} \0", sentence)
    clauses = [_statement(clause) for clause in _pattern("borders").split(re.sub(r"\0\s*[,，]", " ", whole)) if clause.strip(" \0")]
    yield from clauses
    if len(clauses) > 1:
        words = frozenset().union(*(clause.words for clause in clauses))
        bounds = {clause.bound for clause in clauses if clause.bound}
        yield _Statement(words, any(clause.is_negated for clause in clauses), bounds.pop() if len(bounds) == 1 else "")


def _statement(clause: str) -> _Statement:
    bound = next((name for name in ("within", "beyond") if _pattern(name).search(clause)), "")
    claimed, negations = _pattern("negations").subn("", _pattern("harmless").sub(" ", clause))
    words = tokens(_pattern("filler").sub(" ", claimed))
    return _Statement(frozenset(word.removesuffix("s") for word in words), negations % 2 == 1, bound)


@cache
def _pattern(name: str) -> re.Pattern[str]:
    listed = read_yaml("generate", "checks", "polarity.yaml")[name]
    return re.compile(listed if isinstance(listed, str) else "|".join(listed), re.IGNORECASE)
