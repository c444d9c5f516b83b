"""What can be checked about a generated row without a model: quotes, numbers, names, references to the text, agreement.

All of these are pure functions of texts; none of them is right always, and each says where it errs.
"""

import re
from functools import cache

from rapidfuzz.distance import Indel

from tunewell.bundled import read_yaml
from tunewell.generate.mentions import is_supported
from tunewell.generate.names import unsupported_names
from tunewell.generate.numbers import readable, stated
from tunewell.generate.polarity import denies
from tunewell.generate.quotes import Quote, clause_of, locate, thin_quotes, whole_passage
from tunewell.text import normalise, tokens

__all__ = [
    "Quote",
    "agreement",
    "clause_of",
    "is_refusal",
    "locate",
    "meta_reference",
    "same_numbers",
    "thin_quotes",
    "unsupported",
    "unsupported_names",
    "unsupported_numbers",
    "whole_passage",
]


def unsupported_numbers(answer: str, source: str, said: str = "") -> list[str]:
    """The numbers that the answer states and the source does not hold, in order of size of text.

    The source is all that proves the answer. A number of a question (`said`) may be repeated by an answer that denies something or
    states a number of the source as well, or where the source states none: else it may be wrong as the user had it. See
    `numbers.stated` for what counts. Known problems: a sum or a count that the answer works out is unsupported; a right number in a
    wrong place is not.

    >>> unsupported_numbers("Payout takes 3 days and costs 2%.", "Payout takes three days.")
    ['2%']
    >>> unsupported_numbers("Yes, within 60 days.", "Items can be returned within 30 days.", "Can I return it within 60 days?")
    ['60']
    """
    claims, held = stated(answer), readable(source)
    missing = {claim for claim in claims if not is_supported(claim, held)}
    if missing and said and (len(missing) < len(claims) or denies(answer) or not stated(source)):
        asked = readable(said)
        missing = {claim for claim in missing if not is_supported(claim, asked)}
    return sorted({claim.shown for claim in missing})


def unsupported(answer: str, source: str) -> list[str]:
    """The numbers and names of the answer that the source does not hold.

    >>> unsupported("Visa refunds take 9 days.", "Refunds take 5 days.")
    ['9']
    """
    return [*unsupported_numbers(answer, source), *unsupported_names(answer, source)]


def meta_reference(question: str) -> str:
    """The words by which a question points at a text that its reader will not see, or an empty string.

    Known problem: such words may be meant otherwise (in the manual of a text editor, "the table above"); the question is lost.

    >>> meta_reference("What does the passage say about fees?"), meta_reference("上文提到的手续费是多少？")
    ('does the passage say', '上文')
    >>> meta_reference("How do I share a document?"), meta_reference("文本文件怎么导出？")
    ('', '')
    """
    found = _phrases("meta_reference").search(question)
    return found.group() if found else ""


def is_refusal(answer: str) -> bool:
    """Whether an answer says that the material does not tell.

    That something does not include, cover or provide something else is an answer, unless a text is meant, or information.
    Known problem: an answer that says so about one part and answers another counts as well.

    >>> is_refusal("The documentation does not mention a fee."), is_refusal("资料中没有说明月费。"), is_refusal("It is free.")
    (True, True, False)
    """
    return _phrases("refusal").search(answer) is not None


def agreement(one: str, other: str) -> float:
    """ROUGE-L F1 of two texts over words and Han characters, 0 to 1.

    Known problem: it measures wording. A short answer and a long one that mean the same agree little, and two that differ in one
    number agree well: see `same_numbers`.

    >>> agreement("Five days.", "Within five days"), agreement("五天", "5 天")
    (0.8, 0.5)
    """
    left, right = tokens(one), tokens(other)
    if not left and not right:
        return float(normalise(one) == normalise(other))
    return Indel.normalized_similarity(left, right)


def same_numbers(one: str, other: str) -> bool:
    """Whether two answers state the same numbers, or one of them all of the other's and more.

    Known problem: an answer without any number differs from one that states a number in passing.

    >>> same_numbers("5 days", "五天，最长 10 天"), same_numbers("5 days", "6 days"), same_numbers("5 days", "a few days")
    (True, False, False)
    """
    return _covers(one, other) or _covers(other, one)


@cache
def _phrases(name: str) -> re.Pattern[str]:
    phrases = read_yaml("generate", "checks", "phrases.yaml")
    pattern = "|".join(phrases[name])
    for word in ("text", "material", "资料", "物"):
        pattern = pattern.replace(f"{{{word}}}", phrases[word])
    return re.compile(pattern, re.IGNORECASE)


def _covers(one: str, other: str) -> bool:
    """Whether `other` holds all numbers that `one` states, and `one` states any if `other` does."""
    numbers, held = stated(one), readable(other)
    return all(is_supported(number, held) for number in numbers) and (bool(numbers) or not stated(other))
