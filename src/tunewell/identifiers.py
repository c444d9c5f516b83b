"""Numbers and addresses that belong to a person: where they stand in a text, told by their form and their checksums."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import yaml

from tunewell.text import language

LEAST_CONVERSATIONS = 3
"""How many conversations must give a value for it to be the team's own."""

FIRST_LOOK = (
    # Every number here has at least 8 digits with at most three signs between them.
    r"@|[0-9](?:[ ().+/\-]{0,3}[0-9]){7}|[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11}"
)
"""A pattern of RE2 that every text with an identifier matches."""

# Letters and digits next to a number make it part of a longer one, Han characters do not. So does a digit beyond a point or a
# dash; a sign of currency or of numbering, or a unit, makes it an amount or an order.
_BEFORE = r"(?<![A-Za-z0-9_$¥￥€£#])(?<![0-9][.-])"
_AFTER = r"(?![A-Za-z0-9_])(?![.-][0-9])(?! ?(?:[元亿万%]|美元|字节|bytes|dollars))"

_EMAIL = (
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9_][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}"
    r"(?![A-Za-z0-9_-]|:[A-Za-z0-9~/])"  # git@host:path
)
_IDENTITY_NUMBER = r"[1-9][0-9]{5}[ -]?[0-9]{8}[ -]?[0-9]{3}[0-9Xx]|[1-9][0-9]{14}"
_BANK_CARD = (
    r"[0-9]{13,19}|[0-9]{4}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{1,4}(?:\1[0-9]{1,3})?"
    r"|[0-9]{4}([ -])[0-9]{6}\2[0-9]{4,5}|[0-9]{6}[ -][0-9]{10,13}"
)
_SOCIAL_SECURITY_NUMBER = r"(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}"
_PHONE = "|".join(
    (
        # Chinese mobile numbers
        r"(?:(?:\((?:\+|00)?86\)|(?:\+|00)?86)[ -]?)?"
        r"1[3-9][0-9](?:[0-9]{8}|([ -])[0-9]{4}\1[0-9]{4}|[0-9]([ -])[0-9]{3}\2[0-9]{4})",
        r"0(?:10|2[0-9])[2-9][0-9]{7}|0[3-9][0-9]{2}[2-9][0-9]{6,7}",  # Chinese landlines in one word
        # The lines of companies are nobody's own: 0800 555 0142 here, 400-820-8820 and 1-800-555-0199 below.
        r"(?!\(?080[08])(?:"
        r"\(0[1-9][0-9]{1,4}\)[ -]?[0-9]{3,8}(?:[ -][0-9]{3,8})?"  # (010) 12345678, (020) 7946 0958
        r"|0[1-9][0-9]{1,4}[/-][0-9]{3,8}(?:[ -][0-9]{3,8})?"  # 0755-12345678, 030/1234567
        r"|(?<![0-9] )0[1-9][0-9]{1,4} [0-9]{3,8}(?:[ -][0-9]{3,8})?(?! [0-9]))",  # 07700 900123, but no row of a table
        r"0[1-9](?:\.[0-9]{2}){4}",  # 01.23.45.67.89
        r"(?:1[-. ])?(?!\(?(?:[2-9]00|8(?:33|44|55|66|77|88)))"
        r"(?:\([2-9][0-9]{2}\)[ -]?|[2-9][0-9]{2}[-.])[2-9][0-9]{2}[-. ][0-9]{4}",  # (415) 555-2671, 1-415-555-2671
        # +44 (0)20 7946 0958, (+1) 415 555 2671
        r"(?:\(\+[1-9][0-9]{0,2}\)|\+[1-9][0-9]{0,2})(?:[ -]?\(0\))?[ -]?\(?[0-9]{1,5}\)?(?:[ -]?[0-9]{2,8}){1,5}",
        r"\+[1-9][0-9]{0,2}(?:\.[0-9]{2,4}){2,5}",  # +1.415.555.2671
    )
)


class Kind(NamedTuple):
    """A kind of identifier: its form, and whether something of that form is one."""

    name: str
    pattern: re.Pattern[str]
    is_valid: Callable[[str], bool]


class Identifier(NamedTuple):
    """An identifier in a text: its kind and its span of characters."""

    kind: str
    start: int
    end: int


def identifiers(text: str, *, contacts: Collection[str] = ()) -> list[Identifier]:
    """The identifiers in a text in their order, less those that `contacts` (as `bare` gives them) names."""
    found: list[Identifier] = []
    is_taken = bytearray(len(text))
    for kind in _kinds():
        for start, end in _spans(kind, text):
            if not any(is_taken[start:end]):
                is_taken[start:end] = bytes([True]) * (end - start)
                found.append(Identifier(kind.name, start, end))
    return sorted((one for one in found if bare(text[one.start : one.end]) not in contacts), key=lambda one: one.start)


def values(text: str) -> set[str]:
    """The identifiers in a text, in the form of `bare`.

    >>> values("Ring 13812345678, or 138-1234-5678.")
    {'13812345678'}
    """
    return {bare(text[one.start : one.end]) for one in identifiers(text)}


def bare(value: str) -> str:
    """The value in lower case; a number also without the signs between its digits.

    >>> bare("400-820 8820"), bare("Help@Example.com")
    ('4008208820', 'help@example.com')
    """
    return value.lower() if "@" in value else re.sub(r"[\s()+./-]", "", value).lower()


def word_of(kind: str, language: str) -> str:
    """The word that stands in place of an identifier of this kind, in a language of `assets/clean/personal.yaml`."""
    word: str = _facts()["words"][language][kind]
    return word


def masked_text(text: str, *, language_of_row: str = "", contacts: Collection[str] = ()) -> tuple[str, Counter[str]]:
    """The text with words in place of identifiers, and how many of each kind there were.

    >>> masked_text("电话13812345678吧")
    ('电话[电话]吧', Counter({'phone': 1}))
    """
    counts: Counter[str] = Counter()
    spoken = language(text) or language_of_row or "en"
    # A word in place of a number may uncover its neighbour, which was part of a longer one before.
    while found := identifiers(text, contacts=contacts):
        counts.update(one.kind for one in found)
        pieces: list[str] = []
        start = 0
        for one in found:
            pieces += [text[start : one.start], word_of(one.kind, spoken)]
            start = one.end
        text = "".join([*pieces, text[start:]])
    return text, counts


def has_luhn_checksum(digits: str) -> bool:
    """Whether the last digit is the checksum of the others by ISO/IEC 7812-1 (Luhn).

    >>> has_luhn_checksum("4111111111111111")
    True
    """
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    return sum(value // 10 + value % 10 for value in doubled) % 10 == 0


def has_identity_checksum(number: str) -> bool:
    """Whether the last sign of 18 is the checksum of the others by GB 11643 (ISO 7064 MOD 11-2), `X` being ten.

    >>> has_identity_checksum("11010519491231002X")
    True
    """
    values = [10 if sign in "Xx" else int(sign) for sign in number]
    return sum(value * pow(2, 17 - place, 11) for place, value in enumerate(values)) % 11 == 1


def has_iban_checksum(number: str) -> bool:
    """Whether the two digits after the country are the checksum of the rest by ISO 13616 (MOD 97-10).

    >>> has_iban_checksum("GB82WEST12345698765432")
    True
    """
    return int("".join(str(int(sign, 36)) for sign in number[4:] + number[:4])) % 97 == 1


def _spans(kind: Kind, text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while match := kind.pattern.search(text, start):
        if kind.is_valid(match.group()):
            yield match.span()
            start = match.end()
        else:
            # What only looks like one may hide another that begins at a later digit.
            start = match.start() + 1


@cache
def _kinds() -> tuple[Kind, ...]:
    """The kinds, the surest first: what one has taken no other may."""
    countries: Mapping[int, Collection[str]] = _facts()["ibans"]
    iban = "|".join(f"(?:{'|'.join(names)})[0-9]{{2}}(?: ?[A-Z0-9]){{{length - 4}}}" for length, names in countries.items())
    return (
        Kind("email", re.compile(_EMAIL), _is_email),
        Kind("iban", _number(iban), lambda text: has_iban_checksum(text.replace(" ", ""))),
        Kind("identity_number", _number(_IDENTITY_NUMBER), _is_identity_number),
        Kind("bank_card", _number(_BANK_CARD), _is_bank_card),
        Kind("social_security_number", _number(_SOCIAL_SECURITY_NUMBER), lambda _: True),
        Kind("phone", _number(_PHONE), _is_phone),
    )


def _number(pattern: str) -> re.Pattern[str]:
    # The look at the first sign is for speed: most characters of a text fail there.
    return re.compile(f"(?=[0-9+(A-Z]){_BEFORE}(?:{pattern}){_AFTER}")


def _is_email(text: str) -> bool:
    is_file = text.rpartition(".")[2].lower() in _facts()["file_endings"]
    return not is_file and text.partition("@")[0].lower() not in _facts()["accounts"]


def _is_identity_number(text: str) -> bool:
    number = bare(text)
    if int(number[:2]) not in _facts()["provinces"]:
        return False
    birth = number[6:14] if len(number) == 18 else f"19{number[6:12]}"
    try:
        day = date(int(birth[:4]), int(birth[4:6]), int(birth[6:]))
    except ValueError:
        return False
    return 1900 <= day.year < 2100 and (len(number) == 15 or has_identity_checksum(number))


def _is_bank_card(text: str) -> bool:
    digits = bare(text)
    return has_luhn_checksum(digits) and any(
        len(digits) in card["digits"] and first <= int(digits[: len(str(first))]) <= last
        for card in _facts()["cards"]
        for first, last in card["first"]
    )


def _is_phone(text: str) -> bool:
    digits = bare(text)
    if "+" in text:
        # The numbers of North America have ten digits after their 1; a shorter one is a sum ("5 +12345678").
        return len(digits) == 11 if digits[0] == "1" else 10 <= len(digits) <= 15
    return 9 <= len(digits) <= 15


@cache
def _facts() -> dict[str, Any]:
    facts: dict[str, Any] = yaml.safe_load((files("tunewell") / "assets" / "clean" / "personal.yaml").read_text(encoding="utf-8"))
    return facts
