"""The page's own words in English and Chinese, from `assets/report/words.yaml`, and the numbers beside them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunewell.bundled import read_yaml

_SIZES = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one language. Asking for a key that the data file lacks is a bug, and a KeyError."""

    language: str
    table: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """The words under `key`, with `{name}` filled in from `values`."""
        return self.table[key].format(**values) if values else self.table[key]

    def label(self, kind: str, code: str) -> str:
        """The words for a code that other stages chose, such as a slice or a stage; the code itself where none are listed."""
        return self.table.get(f"{kind}_{code}", code.replace("_", " "))

    def of(self, record: Mapping[str, Any], key: str) -> str:
        """A text of the gate in this language: `title_zh` beside `title`."""
        return str(record.get(f"{key}_{self.language}") or record.get(key) or "")

    def duration(self, seconds: float) -> str:
        """Seconds as a person says them.

        >>> Words("en", read_words("en").table).duration(200)
        '3 min 20 s'
        """
        if seconds < 100:
            return self("seconds", n=f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}")
        minutes, rest = divmod(round(seconds), 60)
        if minutes < 100:
            return self("minutes", m=minutes, s=rest)
        hours, minutes = divmod(minutes, 60)
        return self("hours", h=hours, m=minutes)


def read_words(language: str) -> Words:
    """The words of a language, `en` or `zh`."""
    return Words(language, read_yaml("report", "words.yaml")[language])


def decimals(*values: float | None) -> int:
    """How many decimals a row of numbers gets: three below 10, one below 1000, none above.

    >>> decimals(0.31, None, 0.4), decimals(9.6, 31.2)
    (3, 1)
    """
    largest = max((abs(value) for value in values if value is not None), default=0.0)
    return 3 if largest < 10 else 1 if largest < 1000 else 0


def places(row: Mapping[str, Any]) -> int:
    """How many decimals a row of base and tuned values gets: one on a scale of 100, else by size."""
    return 1 if row.get("unit") == "points of 100" else decimals(row["base"], row["tuned"])


def number(value: float | None, digits: int = 3, *, signed: bool = False) -> str:
    """A number for people: thousands separated, a true minus sign, a dash where there is none.

    >>> number(-0.1234), number(0.05, signed=True), number(1234567, 0), number(None)
    ('−0.123', '+0.050', '1,234,567', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}"
    if not any(digit in text for digit in "123456789"):
        text = text.lstrip("+-")
    return text.replace("-", "−")


def p_value(value: float | None) -> str:
    """A p value with three decimals, or how small it is at most.

    >>> p_value(0.0312), p_value(0.00004), p_value(None)
    ('0.031', '<0.001', '–')
    """
    return "<0.001" if value is not None and value < 0.0005 else number(value)


def size(byte_count: float) -> str:
    """Bytes in binary units.

    >>> size(3 * 2**30), size(900)
    ('3.0 GiB', '900 B')
    """
    step = 0
    while byte_count >= 1024 and step < len(_SIZES) - 1:
        byte_count /= 1024
        step += 1
    return f"{byte_count:.1f} {_SIZES[step]}" if step else f"{byte_count:.0f} B"


def share(value: float | None) -> str:
    """A share of 1 as a percentage.

    >>> share(0.256)
    '25.6 %'
    """
    return "–" if value is None else f"{number(100 * value, 1)} %"
