"""Times of the day in a text, so that 17:00 is 5 pm and 下午五点."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from tunewell.generate.mentions import LOOSE, Amount, Mention
from tunewell.generate.number_words import DIGITS, english_value, han_values

_PARTS = {
    **dict.fromkeys(("凌晨", "清晨", "早晨", "早上", "上午", "早"), "am"),
    **dict.fromkeys(("中午", "下午", "傍晚", "晚上", "晚间", "夜里", "夜间", "晚"), "pm"),
}
_NIGHT = {"凌晨", "晚上", "晚间", "夜里", "夜间", "晚"}
_DIGIT = f"[{''.join(DIGITS)}]"
_PAST = rf"(?:半|[一三]刻|[0-5]?[0-9]分|[0-5][0-9](?![0-9])|[二三四五]?十{_DIGIT}?分?|零?{_DIGIT}分|零{_DIGIT})"
_TO = r"(?:[-–—~～至到]|\bto\b|\buntil\b)"
# A bare 点 may mean an item (三点建议), so that it is a time only next to other words of time.
_HALF = r"[ ]?[ap]\.?m\b"
_OCLOCK = r"[ ]?o['’]clock\b"
_SURE = rf"钟|整|[之以]?[前后]|左右|开始|[ ]?{_TO}"
_TIME = re.compile(
    rf"(?<![0-9.:])(?P<part>(?<!最)(?:{'|'.join(_PARTS)}))?[ ]?(?:"
    r"(?P<hour>[01]?[0-9]|2[0-4])(?::(?P<minute>[0-5][0-9])(?::[0-5][0-9])?(?![0-9:])"
    rf"|(?={_HALF}|{_OCLOCK}|[ ]?{_TO}[ ]?[0-9]{{1,2}}(?::[0-9]{{2}})?{_HALF}))"
    r"|(?P<spoken>[0-9]{1,2}|[零一二两三四五六七八九十]{1,3})[ ]?(?:点|时(?!间|段|候|区))"
    rf"(?P<past>{_PAST})?(?P<sure>{_SURE})?"
    rf"|\b(?P<word>one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)(?={_HALF}|{_OCLOCK}))"
    rf"(?:[ ]?(?P<half>[ap])\.?m\b|{_OCLOCK})?",
    re.IGNORECASE,
)
_AFTER_TO = re.compile(rf"{_TO}[ ]?\Z", re.IGNORECASE)
_PAST_HOUR = {"半": 30, "一刻": 15, "三刻": 45}


class Time(NamedTuple):
    """A time of the day as a text writes it."""

    start: int
    end: int
    hour: int
    minute: int
    half: str
    """`am`, `pm`, or empty where the text leaves it open."""
    is_open: bool
    """Whether it may be before or after noon for all that the text says: not so 9:00, but 九点 and the end of 9:00-5:00."""
    is_sure: bool
    """Whether it can be nothing else than a time."""


def times(text: str) -> Iterator[Time]:
    """The times that a text, in plain digits, gives."""
    for found in _TIME.finditer(text):
        hour, minute, half = _hour(found), _minute(found), _half(found)
        if hour > 24 or minute > 59:
            continue
        ends_range = _AFTER_TO.search(text[max(0, found.start() - 8) : found.start()]) is not None
        is_sure = hour > 12 or not found["spoken"] or ends_range or any(found[name] for name in ("part", "past", "sure", "half"))
        yield Time(found.start(), found.end(), hour, minute, half, not half and (ends_range or not found["minute"]), is_sure)


def mentions(text: str) -> Iterator[Mention]:
    """The times that a text gives. What need be none (以下3点) is an empty place, so that its number can be read as one too."""
    for time in times(text):
        shown = map(Amount, sorted(readings(time)))
        hour = () if time.minute else (Amount(str(time.hour), LOOSE),)
        claims = (Amount(claimed(time)),) if time.is_sure else ()
        yield Mention(time.start, time.end if time.is_sure else time.start, claims, (*shown, *hour))


def claimed(time: Time) -> str:
    """A time as one claims it.

    >>> [claimed(time) for time in times("9:00, 17:30, 5 pm, 下午五点半, 凌晨12点")]
    ['9:00', '5:30 pm', '5:00 pm', '5:30 pm', '12:00 am']
    """
    return f"{_shown(time)} {time.half}".strip()


def readings(time: Time) -> set[str]:
    """All claims that a time supports: 9:00 may be meant on a clock of 24 hours, and the end of 下午 1 点到 5 点 in the afternoon.

    >>> [sorted(readings(time)) for time in times("9:00 to 5:00, 17:00")]
    [['9:00', '9:00 am'], ['5:00', '5:00 am', '5:00 pm'], ['5:00', '5:00 pm']]
    """
    halves = {"am", "pm"} if time.is_open else {time.half or ("pm" if time.hour == 12 else "am")}
    return {_shown(time), *(f"{_shown(time)} {half}" for half in halves)}


def _shown(time: Time) -> str:
    return f"{time.hour % 12 or 12}:{time.minute:02d}"


def _hour(found: re.Match[str]) -> int:
    if found["word"]:
        return english_value(found["word"])
    written = found["hour"] or found["spoken"]
    return int(written) if written.isascii() else int(han_values(written)[0])


def _minute(found: re.Match[str]) -> int:
    past = found["past"]
    if not past:
        return int(found["minute"] or 0)
    if past in _PAST_HOUR:
        return _PAST_HOUR[past]
    written = past.removesuffix("分")
    return int(written) if written.isascii() else int(han_values(written)[0])


def _half(found: re.Match[str]) -> str:
    hour, part = _hour(found), found["part"]
    if hour in {0, 24}:
        return "am"
    if hour > 12:
        return "pm"
    if found["half"] or not part:
        return f"{found['half'].lower()}m" if found["half"] else ""
    if hour == 12:
        return "am" if part in _NIGHT else "pm"
    return "am" if part == "中午" and hour == 11 else _PARTS[part]
