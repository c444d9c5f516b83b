"""One finding of the doctor, and the order in which findings are shown."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "info"]
_LEVELS: tuple[Level, ...] = ("error", "warning", "info")


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


def _place(finding: Finding) -> tuple[int, str, int, str]:
    path, _, line = finding.where.rpartition(":")
    level = _LEVELS.index(finding.level)
    if path and line.isascii() and line.isdigit():
        return level, path, int(line), finding.code
    return level, finding.where, 0, finding.code
