"""Findings of the doctor, the order in which they are shown, and how many of one kind are kept."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Level = Literal["error", "warning", "info"]
_LEVELS: tuple[Level, ...] = ("error", "warning", "info")
_LISTED = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found: the place (`file:line`, file or recipe key), a code, how grave it is, what it is and what helps."""

    where: str
    code: str
    level: Level
    what: str
    remedy: str


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """The findings by level, then by file and line."""
    return sorted(findings, key=_place)


class _Kind(NamedTuple):
    path: str
    code: str


@dataclass(slots=True)
class _Noted:
    first: list[Finding] = field(default_factory=list)
    count: int = 0


class Notes:
    """Findings about rows. Of each code the first 20 of a file are kept and the others counted: a million do not fill memory."""

    def __init__(self) -> None:
        self._noted: dict[_Kind, _Noted] = {}

    def add(self, path: str, finding: Finding) -> None:
        """Take in a finding about a row of the file `path`."""
        self._take(_Kind(path, finding.code), [finding], 1)

    def merge(self, later: "Notes") -> None:
        """Take in those of rows that come after these."""
        for kind, noted in later._noted.items():
            self._take(kind, noted.first, noted.count)

    def findings(self) -> Iterator[Finding]:
        """The findings that were kept, and one for all the others of a code and file, at the place of the first of them."""
        for kind, noted in self._noted.items():
            yield from noted.first[:_LISTED]
            for next_one in noted.first[_LISTED:]:
                more = noted.count - _LISTED
                rows = "1 more row" if more == 1 else f"{more:,} more rows"
                what = f"and {rows} of this kind in {kind.path}"
                yield Finding(next_one.where, kind.code, next_one.level, what, next_one.remedy)

    def _take(self, kind: _Kind, findings: list[Finding], count: int) -> None:
        noted = self._noted.setdefault(kind, _Noted())
        noted.first += findings[: _LISTED + 1 - len(noted.first)]
        noted.count += count


def _place(finding: Finding) -> tuple[int, str, int, str]:
    path, _, line = finding.where.rpartition(":")
    level = _LEVELS.index(finding.level)
    if path and line.isascii() and line.isdigit():
        return level, path, int(line), finding.code
    return level, finding.where, 0, finding.code
