"""How many rows a source may give to training."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePath

import numpy as np

from tunewell.errors import DataError
from tunewell.mix.columns import Mask, Numbers, Rows
from tunewell.mix.draw import places

_SHOWN = 5


def beyond_caps(rows: Rows, trainable: Mask, caps: Mapping[str, int], *, seed: int) -> Mask:
    """Which of the trainable rows their source may not give: all but as many as its cap, drawn by seed.

    Raises `DataError` where a pattern matches no source.
    """
    beyond = np.zeros_like(trainable)
    if not caps:
        return beyond
    limits = _limits(rows.source_names, caps)
    capped = np.flatnonzero(trainable & (limits[rows.sources] >= 0))
    sources = rows.sources[capped]
    order = np.lexsort((places(rows.ids[capped], "cap", seed=seed), sources))
    in_order = sources[order]
    rank = np.arange(len(order)) - np.searchsorted(in_order, in_order)
    beyond[capped[order]] = rank >= limits[in_order]
    return beyond


def _limits(sources: Sequence[str], caps: Mapping[str, int]) -> Numbers:
    """The smallest cap whose pattern fits each source's name or path; -1 where none does."""
    fitting = {pattern: {source for source in sources if _fits(source, pattern)} for pattern in caps}
    idle = [pattern for pattern, found in fitting.items() if not found]
    if idle:
        shown = ", ".join(sorted(sources)[:_SHOWN]) + (", …" if len(sources) > _SHOWN else "")
        what = "no source with rows matches " + ", ".join(f"`{pattern}`" for pattern in idle)
        raise DataError(what, where="data.caps", hint=f"a pattern is a file's name or path, or a glob; sources are {shown}")
    return np.array([min((caps[p] for p in caps if source in fitting[p]), default=-1) for source in sources], np.int64)


def _fits(source: str, pattern: str) -> bool:
    return fnmatchcase(source, pattern) or fnmatchcase(PurePath(source).name, pattern)
