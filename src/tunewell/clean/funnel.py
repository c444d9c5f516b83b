"""The funnel: how many rows came in, how many each rule dropped, and from which source."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

KEPT = "kept"

Tallies = Mapping["Source", Counter[str]]
"""For each source, how many rows were kept (under `KEPT`) and how many dropped (under the reason)."""


class Source(NamedTuple):
    """Where rows come from, and the pool they belong to."""

    path: str
    pool: str


def funnel(tallies: Tallies, rules: Sequence[str], masked: Mapping[str, int], mended: int) -> dict[str, Any]:
    """The funnel as JSON values: `rows_in`, `kept`, `rules` in order of application, zeros included, `sources`, `masked`, `mended`.

    `masked` counts the pieces of personal data of each kind that words stand for now, `mended` the rows that have the text of a
    reviewer, whether a later rule dropped them or not.

    >>> funnel({Source("a.csv", "domain"): Counter(kept=2, empty=1)}, ["empty", "too_long"], {}, 0)["rules"]
    [{'rule': 'empty', 'dropped': 1}, {'rule': 'too_long', 'dropped': 0}]
    """
    total = sum(tallies.values(), Counter())
    return {
        "rows_in": total.total(),
        "kept": total[KEPT],
        "mended": mended,
        "masked": dict(sorted(masked.items())),
        "rules": [{"rule": rule, "dropped": total[rule]} for rule in rules],
        "sources": [
            {
                "source": source.path,
                "pool": source.pool,
                "rows": counts.total(),
                "kept": counts[KEPT],
                "dropped": {rule: counts[rule] for rule in rules if counts[rule]},
            }
            for source, counts in tallies.items()
        ],
    }
