"""The chart of a probe: one row for each slice, base beside tuned, with intervals where there are items enough."""

from collections.abc import Callable, Sequence
from typing import Any

import altair as alt

from tunewell.report.charts import LABELS, MODEL_COLOURS, Spec, finish, rows
from tunewell.report.slices import SliceMean
from tunewell.report.words import Words

_ROW_HEIGHT, _LOW_ROW_HEIGHT = 44, 30
_MANY_ROWS = 9
_FEW_ITEMS = 10


def slice_bars(
    means: Sequence[SliceMean], words: Words, *, measure: str, label: Callable[[SliceMean], str], percent: bool = False
) -> Spec | None:
    """Horizontal bars of base and tuned on each slice, with their intervals; below ten items an interval says nothing.

    Args:
        means: slices in the order in which they are to stand.
        words: the page's words.
        measure: what the bars measure, as the title of the axis.
        label: the name of a slice.
        percent: whether the measure is a share, shown in per cent.
    """
    data = [_bar(mean, label(mean), words) for mean in means if mean.estimate.value is not None]
    if not data:
        return None
    largest = max(max(bar["value"], bar["high"] or 0.0) for bar in data) or 0.05
    exact = ".0%" if percent else ".3f"
    base = alt.Chart(rows(data)).encode(
        y=alt.Y("slice:N", sort=None, axis=LABELS, scale=alt.Scale(paddingInner=0.35, paddingOuter=0.15)),
        yOffset=alt.YOffset("model:N", sort=["base", "tuned"], scale=alt.Scale(paddingInner=0.1)),
        tooltip=[
            alt.Tooltip("name:N", title=words("model")),
            alt.Tooltip("value:Q", title=measure, format=exact),
            alt.Tooltip("low:Q", title=words("from"), format=exact),
            alt.Tooltip("high:Q", title=words("to"), format=exact),
            alt.Tooltip("n:Q", title="n"),
        ],
    )
    scale = alt.Scale(domain=[0, min(1.0, largest * 1.08)], nice=False)
    x = alt.X("value:Q", title=None, scale=scale, axis=alt.Axis(format=".0%" if percent else ".2f", tickCount=4))
    bars = base.mark_bar(cornerRadiusEnd=2).encode(x=x, color=alt.Color("model:N", scale=MODEL_COLOURS, legend=None))
    whiskers = base.mark_rule(color="var(--ink)", strokeWidth=1.4, opacity=0.75).encode(x="low:Q", x2="high:Q")
    count = len({bar["slice"] for bar in data})
    return finish(bars, whiskers, height=count * (_ROW_HEIGHT if count < _MANY_ROWS else _LOW_ROW_HEIGHT))


def _bar(mean: SliceMean, label: str, words: Words) -> dict[str, Any]:
    few = mean.estimate.n < _FEW_ITEMS
    low, high = (None, None) if few else (mean.estimate.low, mean.estimate.high)
    return {
        "slice": label,
        "model": mean.model,
        "name": words(mean.model),
        "value": mean.estimate.value,
        "low": None if low is None else max(0.0, low),
        "high": None if high is None else min(1.0, high),
        "n": mean.estimate.n,
    }
