"""Dates and days of the week in a text, so that 2024年3月5日 is 2024-03-05 and March 5, 2024."""

import re
from collections.abc import Iterator

from tunewell.generate.mentions import Amount, Mention
from tunewell.generate.number_words import DIGITS, han_values

_HAN = f"[{''.join(DIGITS)}十]"
_MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]
_MONTH = "|".join(rf"{name[:3]}(?:{name[3:]})?" for name in _MONTHS if len(name) > 3) + "|May|Sept"
_TO = r"\s?(?:[-–—~～至到]|\bto\b)\s?"
_DAY = r"[0-3]?[0-9](?:st|[nr]d|th)?"
_YEAR = r"(?:1[0-9]|20)[0-9]{2}"

_FORMS = (
    re.compile(
        rf"(?<![0-9])(?P<year>{_YEAR})(?P<sign>[-/.])(?P<month>[01]?[0-9])(?P=sign)(?P<day>[0-3]?[0-9])(?![0-9]|[-/.][0-9])"
    ),
    re.compile(
        rf"(?:(?<![0-9])(?P<year>{_YEAR}|[一二][〇零一二三四五六七八九]{{3}})\s?年\s?)?(?<![0-9{''.join(DIGITS)}十个])"
        rf"(?P<month>[01]?[0-9]|{_HAN}{{1,2}})\s?月\s?(?P<day>[0-3]?[0-9]|{_HAN}{{1,3}})(?:\s?[日号](?:{_TO}(?P<last>[0-3]?[0-9]|{_HAN}{{1,3}})\s?[日号])?"
        rf"|{_TO}(?P<until>[0-3]?[0-9]|{_HAN}{{1,3}})\s?[日号])"
    ),
    re.compile(rf"\b(?P<month>{_MONTH})\.? (?P<day>{_DAY})\b(?:{_TO}(?P<last>{_DAY})\b)?(?:,? (?P<year>{_YEAR})\b)?"),
    re.compile(rf"\b(?P<day>{_DAY})(?:{_TO}(?P<last>{_DAY}))?(?: of)? (?P<month>{_MONTH})\b\.?(?:,? (?P<year>{_YEAR})\b)?"),
)
_A_YEAR = re.compile(rf"(?<![0-9]){_YEAR}(?![0-9])")

_WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_IN_HAN = {sign: place for place, sign in enumerate("一二三四五六")} | {"日": 6, "天": 6, "末": 5}
_WEEKDAY = re.compile(
    r"(?<![0-9一二两三四五六七八九十百几数半])(?:周|星期|礼拜)(?P<han>[一二三四五六日天末])(?![次个天小岁回趟年])"
    rf"|\b(?P<english>{'|'.join(_WEEKDAYS)})s?\b|\b(?P<short>Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)\b(?=\.?{_TO}|\.?,|\.?\Z)",
    re.IGNORECASE,
)


def dates(text: str) -> Iterator[Mention]:
    """The dates of a text that name a month and a day. A date without a year is of the year last named before it.

    >>> [[amount.shown for amount in date.claims] for date in dates("2024年3月5日, March 5-8, 五月三日, 2024-3-5")]
    [['2024-03-05'], ['03-05', '03-08'], ['05-03'], ['2024-03-05']]
    """
    taken = [(found.start(), found) for form in _FORMS for found in form.finditer(text)]
    years = [(found.end(), found.group()) for found in _A_YEAR.finditer(text)]
    end, passed, year = 0, 0, ""
    for start, found in sorted(taken, key=lambda one: one[0]):
        while passed < len(years) and years[passed][0] <= start:
            year, passed = years[passed][1], passed + 1
        if start >= end and (mention := _date(found, year)):
            end = found.end()
            yield mention


def weekdays(text: str) -> Iterator[Mention]:
    """The days of the week that a text names; a range supports the days within it.

    >>> [sorted(amount.shown for amount in day.readings) for day in weekdays("周一至周三, on Fridays")]
    [['monday', 'tuesday', 'wednesday'], ['wednesday'], ['friday']]
    """
    found = [(place, _weekday(place)) for place in _WEEKDAY.finditer(text)]
    for index, (place, day) in enumerate(found):
        after = found[index + 1] if index + 1 < len(found) else None
        ends = after[1] if after and re.fullmatch(rf"\.?{_TO}", text[place.end() : after[0].start()], re.IGNORECASE) else day
        within = [(day + step) % 7 for step in range((ends - day) % 7 + 1)]
        yield Mention(place.start(), place.end(), (Amount(_WEEKDAYS[day]),), tuple(Amount(_WEEKDAYS[one]) for one in within))


def _date(found: re.Match[str], year_before: str) -> Mention | None:
    parts = found.groupdict()
    month = next((place for place, name in enumerate(_MONTHS, 1) if name.startswith(parts["month"][:3])), 0) or _value(
        parts["month"]
    )
    days = [_value(day) for day in (parts["day"], parts.get("last"), parts.get("until")) if day]
    if not (1 <= month <= 12 and all(1 <= day <= 31 for day in days)):
        return None
    year = _value(parts["year"]) if parts["year"] else 0
    bare = [f"{month:02d}-{day:02d}" for day in days]
    whole = [f"{year}-{day}" for day in bare] if year else []
    inherited = [] if year or not year_before else [f"{year_before}-{day}" for day in bare]
    named = [Amount(str(year), "year")] if year else []
    plain = [Amount(str(month), "month"), *(Amount(str(day), "day") for day in days), *named]
    claims = tuple(map(Amount, whole or bare))
    return Mention(found.start(), found.end(), claims, (*claims, *map(Amount, bare), *map(Amount, inherited), *plain))


def _value(written: str) -> int:
    digits = re.match("[0-9]+", written)
    return int(digits.group()) if digits else int(han_values(written)[0])


def _weekday(found: re.Match[str]) -> int:
    if found["han"]:
        return _IN_HAN[found["han"]]
    word = (found["english"] or found["short"]).lower()
    return next(
        place for place, name in enumerate(_WEEKDAYS) if name.startswith(word.removesuffix("s") if len(word) > 4 else word[:3])
    )
