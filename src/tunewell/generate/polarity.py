"""Whether two texts that should say the same thing say yes and no to it alike."""

import re
from collections.abc import Collection, Iterable, Iterator
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
    """`within`, `beyond`, or empty where it names none or both."""
    sides: frozenset[tuple[str, bool]]
    """Which words of the opposite pairs it holds, and whether it is the second."""


def same_polarity(text: str, other: str) -> bool:
    """Whether no statement of one text is denied in the other.

    Each statement is compared with the one of the other text that shares the most words with it, where each is the other's
    nearest: they conflict if an odd number of things turns one into the other: negations, a bound (under, over), opposites (buyer,
    seller). Texts without statements alike do not conflict. The words are data (`polarity.yaml`): negations, words that say no
    (refused, free, 禁止, 免费), what only looks like a negation (not only, 不仅, 特别), bounds and opposites.

    Known problems: opposites that are in no list are not seen; a denial in quite other words is not seen; a
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


def is_negated(text: str) -> bool:
    """Whether a text denies something: whether it is negated an odd number of times.

    >>> is_negated("不可以退货"), is_negated("不仅可以退货"), is_negated("You cannot return it.")
    (True, False, True)
    """
    return _negations(text) % 2 == 1


def denies(text: str) -> bool:
    """Whether any word of a text is a negation.

    >>> denies("No, you cannot."), denies("不仅可以退货")
    (True, False)
    """
    return _negations(text) > 0


def _negations(text: str) -> int:
    return sum(1 for _ in _pattern("negations").finditer(_pattern("harmless").sub(" ", text)))


def _differ(one: _Statement, two: _Statement) -> bool:
    return _are_opposed(one, two) and _alike(one, two) >= _ALIKE


def _are_opposed(one: _Statement, two: _Statement) -> bool:
    turns = sum((name, not is_second) in two.sides for name, is_second in one.sides)
    turns += (one.is_negated != two.is_negated) + (bool(one.bound and two.bound) and one.bound != two.bound)
    return turns % 2 == 1


def _nearest(one: _Statement, others: Collection[_Statement]) -> _Statement:
    """The statement most like it; of several, one that is not opposed to it."""
    return max(others, key=lambda two: (_alike(one, two), not _are_opposed(one, two)))


def _alike(one: _Statement, two: _Statement) -> float:
    """How much two statements share. A bare yes or no could be about any other."""
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
        sides = _one_sided(side for clause in clauses for side in clause.sides)
        yield _Statement(words, any(clause.is_negated for clause in clauses), bounds.pop() if len(bounds) == 1 else "", sides)


def _statement(clause: str) -> _Statement:
    bounds = {found.lastgroup or "" for found in _bounds().finditer(clause)}
    claimed, negations = _pattern("negations").subn("", _pattern("harmless").sub(" ", clause))
    sides = [_side(found) for found in _opposites().finditer(claimed)]
    claimed = _opposites().sub(lambda found: f" {_side(found)[0]} ", claimed)
    words = frozenset(word.removesuffix("s") for word in tokens(_pattern("filler").sub(" ", claimed)))
    return _Statement(words, negations % 2 == 1, bounds.pop() if len(bounds) == 1 else "", _one_sided(sides))


def _side(found: re.Match[str]) -> tuple[str, bool]:
    """The first word of the pair to which a word belongs, and whether it is the second."""
    place = int((found.lastgroup or "")[1:])
    return _pairs()[place // 2][0], place % 2 == 1


def _one_sided(sides: Iterable[tuple[str, bool]]) -> frozenset[tuple[str, bool]]:
    """Those of which the other side is not there: who names buyer and seller can mean either."""
    held = set(sides)
    return frozenset((name, is_second) for name, is_second in held if (name, not is_second) not in held)


@cache
def _pairs() -> list[list[str]]:
    pairs: list[list[str]] = read_yaml("generate", "checks", "polarity.yaml")["opposites"]
    return pairs


@cache
def _opposites() -> re.Pattern[str]:
    words = [rf"\b{word}s?\b" if word[0].isascii() else word for pair in _pairs() for word in pair]
    return re.compile("|".join(f"(?P<w{place}>{word})" for place, word in enumerate(words)), re.IGNORECASE)


@cache
def _bounds() -> re.Pattern[str]:
    named = (f"(?P<{name}>{_pattern(name).pattern})" for name in ("within", "beyond"))
    return re.compile("|".join(named), re.IGNORECASE)


@cache
def _pattern(name: str) -> re.Pattern[str]:
    listed = read_yaml("generate", "checks", "polarity.yaml")[name]
    return re.compile(listed if isinstance(listed, str) else "|".join(listed), re.IGNORECASE)
