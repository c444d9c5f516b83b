"""Which constraints are asked at once: one, two or three kinds that do not contradict each other."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import combinations, cycle
from typing import Any

from tunewell.bundled import read_yaml
from tunewell.evaluate.constraints import Constraint
from tunewell.store import digest

_SIZES = (1, 2, 3)


def constraint_sets(language: str) -> Iterator[list[Constraint]]:
    """Without end: one constraint of the language (`en` or `zh`), then two, then three, and again; the kinds take turns.

    Each set takes the kinds that were asked least often in sets of its size, so that sets of one, two and three are about the
    same kinds and can be compared.
    """
    kinds = {kind["kind"]: kind for kind in _table()["kinds"] if language in kind}
    asked: Counter[tuple[str, int]] = Counter()
    for size in cycle(_SIZES):
        turns = {name: (asked[name, size], sum(asked[name, any_size] for any_size in _SIZES), digest(name)) for name in kinds}
        chosen = next(names for names in combinations(sorted(kinds, key=turns.__getitem__), size) if compatible(names))
        asked.update((name, size) for name in chosen)
        yield [{"kind": name, "check": kinds[name]["check"], **kinds[name][language]} for name in chosen]


def compatible(kinds: Sequence[str]) -> bool:
    """Whether an answer can obey all the kinds at once: no two are of one family, and no row of conflicts keeps two apart.

    >>> compatible(["at_most_words", "json_object"]), compatible(["at_most_words", "json_object", "start_with"])
    (True, False)
    """
    return not any(_exclude(one, other) for one, other in combinations(kinds, 2))


@cache
def _exclude(one: str, other: str) -> bool:
    families = {kind["kind"]: kind["family"] for kind in _table()["kinds"]}
    first, second = {one, families[one]}, {other, families[other]}
    return families[one] == families[other] or any(
        (name in first and not second.isdisjoint(others)) or (name in second and not first.isdisjoint(others))
        for name, others in _table()["conflicts"].items()
    )


def _table() -> Any:
    return read_yaml("probes", "constraints.yaml")
