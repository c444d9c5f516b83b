"""The charts of training, data, answers and cost."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from tunewell.report.charts import LABELS, Spec, finish, rows
from tunewell.report.funnel import Step
from tunewell.report.words import Words

_STEP_COLOURS = alt.Scale(domain=["stage", "dropped", "added"], range=["var(--tuned)", "var(--fail)", "var(--pass)"])
_SIDE_COLOURS = alt.Scale(domain=["lost", "won"], range=["var(--fail)", "var(--pass)"])
_SIGNS = {"stage": "", "dropped": "−", "added": "+"}
_MOST_POINTS = 400


def loss_curve(log: Sequence[Mapping[str, Any]], words: Words) -> Spec | None:
    """Training loss by step, with its running mean. A long log is thinned to the means of equal stretches."""
    if not log:
        return None
    data = alt.Chart(rows(_running_mean(_thinned(log))))
    axis = alt.Axis(grid=False, tickMinStep=1, tickCount=8)
    x = alt.X("step:Q", title=words("step"), scale=alt.Scale(nice=False), axis=axis)
    y = alt.Y("loss:Q", title=words("loss"), scale=alt.Scale(zero=False))
    tooltip = [
        alt.Tooltip("step:Q", title=words("step")),
        alt.Tooltip("epoch:Q", title=words("epoch"), format=".2f"),
        alt.Tooltip("loss:Q", title=words("loss"), format=".3f"),
        alt.Tooltip("learning_rate:Q", title=words("learning_rate"), format=".2e"),
    ]
    layers = [
        data.mark_line(color="var(--base)", strokeWidth=1, opacity=0.8).encode(x=x, y=y),
        data.mark_line(color="var(--tuned)", strokeWidth=2.5).encode(x=x, y="smooth:Q"),
        data.mark_point(size=60, opacity=0).encode(x=x, y="loss:Q", tooltip=tooltip),
    ]
    return finish(*layers, height=240)


def _thinned(log: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    stretch = -(-len(log) // _MOST_POINTS)
    parts = [log[start : start + stretch] for start in range(0, len(log), stretch)]
    keys = ("step", "epoch", "learning_rate")
    return [{**{key: part[-1][key] for key in keys}, "loss": sum(line["loss"] for line in part) / len(part)} for part in parts]


def _running_mean(points: Sequence[dict[str, float]]) -> list[dict[str, float]]:
    """The mean over a window around each point, narrower at both ends so that it stays centred."""
    reach = max(1, len(points) // 24)
    smoothed = []
    for place, point in enumerate(points):
        near = min(reach, place, len(points) - 1 - place)
        window = points[place - near : place + near + 1]
        smoothed.append({**point, "smooth": sum(other["loss"] for other in window) / len(window)})
    return smoothed


def waterfall(steps: Sequence[Step], words: Words) -> Spec:
    """The way of the rows: what stood after each stage, and what each rule took away."""
    data = [{**step._asdict(), "shown": f"{_SIGNS[step.kind]}{step.rows:,}"} for step in steps]
    most = max(step.end for step in steps) or 1
    base = alt.Chart(rows(data)).encode(
        y=alt.Y("label:N", sort=None, axis=LABELS),
        tooltip=[alt.Tooltip("label:N", title=words("step_label")), alt.Tooltip("shown:N", title=words("rows"))],
    )
    scale = alt.Scale(domain=[0, most * 1.14], nice=False)
    x = alt.X("start:Q", title=words("rows"), scale=scale, axis=alt.Axis(tickCount=5))
    colour = alt.Color("kind:N", scale=_STEP_COLOURS, legend=None)
    bars = base.mark_bar(height=15, cornerRadius=2).encode(x=x, x2="end:Q", color=colour)
    text = base.mark_text(align="left", dx=6, color="var(--ink)").encode(x="end:Q", text="shown:N")
    return finish(bars, text, height=28 * len(data))


def stage_seconds(stages: Sequence[tuple[str, float]], words: Words) -> Spec:
    """Seconds of each stage."""
    data = [
        {"stage": words.label("stage", stage), "seconds": seconds, "shown": words.duration(seconds)} for stage, seconds in stages
    ]
    most = max((seconds for _, seconds in stages), default=0) or 1
    scale = alt.Scale(domain=[0, most * 1.25], nice=False)
    base = alt.Chart(rows(data)).encode(
        y=alt.Y("stage:N", sort=None, axis=LABELS), x=alt.X("seconds:Q", title=None, axis=None, scale=scale)
    )
    bars = base.mark_bar(height=14, cornerRadius=2, color="var(--tuned)")
    text = base.mark_text(align="left", dx=6, color="var(--ink)").encode(text="shown:N")
    return finish(bars, text, height=27 * len(data))


def difference_histogram(differences: Sequence[float], words: Words) -> Spec | None:
    """How many items rose and fell by how much, in ROUGE-L of 1, in twenty bins; the edge 1.0 belongs to the last one."""
    if not differences:
        return None
    bins = Counter(min(9, int(value * 10 // 1)) for value in differences)
    data = [
        {"start": bin_ / 10, "end": (bin_ + 1) / 10, "items": items, "side": "won" if bin_ >= 0 else "lost"}
        for bin_, items in sorted(bins.items())
    ]
    x = alt.X(
        "start:Q",
        bin=alt.BinParams(binned=True, step=0.1),
        title=words("histogram_x"),
        scale=alt.Scale(domain=[-1, 1]),
        axis=alt.Axis(grid=False, format=".1f", tickCount=10),
    )
    tooltip = [
        alt.Tooltip("start:Q", title=words("from"), format="+.1f"),
        alt.Tooltip("end:Q", title=words("to"), format="+.1f"),
        alt.Tooltip("items:Q", title=words("items")),
    ]
    bars = alt.Chart(rows(data)).mark_bar(binSpacing=1)
    y = alt.Y("items:Q", title=words("items"), axis=alt.Axis(tickMinStep=1, tickCount=4))
    encoded = bars.encode(x=x, x2="end:Q", y=y, color=alt.Color("side:N", scale=_SIDE_COLOURS, legend=None), tooltip=tooltip)
    return finish(encoded, height=170)
