"""How every chart of the page is made, and the two that sum the run up: paired differences, and learning against retention.

Colours are the page's own CSS variables, so that a chart follows a change of theme, and prints, without being drawn again.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import altair as alt

from tunewell.report.words import Words, number, places
from tunewell.stats import Estimate

Spec = dict[str, Any]

MODEL_COLOURS = alt.Scale(domain=["base", "tuned"], range=["var(--base)", "var(--tuned)"])
LABELS = alt.Axis(title=None, domain=False, ticks=False, grid=False, labelColor="var(--ink)")
_VERDICT_COLOURS = alt.Scale(domain=["pass", "fail", "inconclusive"], range=["var(--pass)", "var(--fail)", "var(--inconclusive)"])
_FOREST_ROW = 54
_FOREST_EDGE = 1.1


class Box(NamedTuple):
    """The part of the learning–retention plot that the gate allows: retention and domain score at least this large."""

    retention: float
    domain: float


class DialPoint(NamedTuple):
    """What the dial measured at one share alpha of the change."""

    alpha: float
    retention: float
    domain: float


def finish(*layers: alt.Chart, height: int) -> Spec:
    """The specification of a chart of these layers that is as wide as its place on the page."""
    autosize = alt.AutoSizeParams(type="fit-x", contains="padding")
    fitted = alt.LayerChart(layer=list(layers), width="container", height=height, autosize=autosize)
    return {key: value for key, value in fitted.to_dict().items() if key not in ("$schema", "config")}


def rows(values: Sequence[Mapping[str, Any]]) -> alt.InlineData:
    """Rows as the data of a chart, numbers rounded to what a screen can show."""
    rounded = [{key: round(value, 6) if isinstance(value, float) else value for key, value in row.items()} for row in values]
    return alt.InlineData(values=rounded)


def forest(claims: Sequence[Mapping[str, Any]], words: Words) -> Spec | None:
    """Paired differences with intervals and margins, right is better.

    Each claim has its own unit, so each row has its own scale: it is divided by the largest number that it shows.
    """
    known = [_forest_row(claim, words) for claim in claims if claim["difference"] is not None]
    if not known:
        return None
    scale = alt.Scale(domain=[-_FOREST_EDGE, _FOREST_EDGE], nice=False)
    axis = alt.Axis(title=words("forest_axis"), labels=False, ticks=False, grid=False, domain=False)
    colour = alt.Color("verdict:N", scale=_VERDICT_COLOURS, legend=None)
    tooltip = [
        alt.Tooltip(f"{field}:N", title=words(key))
        for field, key in (("title", "claim"), ("shown", "difference"), ("interval", "interval_short"), ("margin_text", "margin"))
    ]

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", scale=scale, axis=axis)

    base = alt.Chart(rows(known)).encode(y=alt.Y("title:N", sort=None, axis=None), tooltip=tooltip)
    layers = [
        base.mark_rule(color="var(--surface)", strokeWidth=8, strokeCap="round").encode(x=x("left"), x2="right:Q"),
        base.mark_tick(color="var(--muted)", thickness=1, size=26).encode(x=x("zero")),
        base.mark_tick(color="var(--ink)", thickness=2.5, size=16).encode(x=x("margin")),
        base.mark_rule(strokeWidth=3.5, strokeCap="round").encode(x=x("low"), x2="high:Q", color=colour),
        base.mark_point(size=95, filled=True, opacity=1).encode(x=x("difference"), color=colour),
        _row_text(base, "left", fontWeight=600, color="var(--ink)").encode(x=x("left"), text="title:N"),
        _row_text(base, "right", color="var(--muted)").encode(x=x("right"), text="told:N"),
    ]
    return finish(*layers, height=len(known) * _FOREST_ROW)


def _row_text(base: alt.Chart, align: Literal["left", "right"], **style: Any) -> alt.Chart:
    text: alt.Chart = base.mark_text(align=align, baseline="bottom", dy=-11, **style)
    return text


def _forest_row(claim: Mapping[str, Any], words: Words) -> dict[str, Any]:
    sign = -1 if claim["better"] == "lower" else 1
    difference, low, high, margin = claim["difference"], claim["low"], claim["high"], allowed_change(claim)
    largest = max((abs(value) for value in (difference, low, high, margin) if value is not None), default=0) or 1
    ends = sorted(sign * value / largest for value in (low, high) if value is not None)
    digits = places(claim)
    shown = number(difference, digits, signed=True)
    interval = "–" if low is None else f"{number(low, digits, signed=True)} … {number(high, digits, signed=True)}"
    return {
        "title": words.of(claim, "title"),
        "verdict": claim["verdict"],
        "left": -_FOREST_EDGE,
        "right": _FOREST_EDGE,
        "zero": 0,
        "difference": sign * difference / largest,
        "low": ends[0] if ends else None,
        "high": ends[-1] if ends else None,
        "margin": None if margin is None else sign * margin / largest,
        "shown": shown,
        "interval": interval,
        "told": f"{shown}  [{interval}]",
        "margin_text": words.of(claim, "margin_text"),
    }


def allowed_change(claim: Mapping[str, Any]) -> float | None:
    """The difference at which a claim stops to pass, in the claim's unit and direction; None where a gain is claimed."""
    margin = claim["margin"]
    if margin is None:
        return None
    return float(margin if claim["better"] == "lower" else -margin)


def learning(
    retention: Mapping[Literal["base", "tuned"], Estimate],
    domain: Mapping[Literal["base", "tuned"], Estimate],
    *,
    questions: str,
    box: Box | None,
    dial: Sequence[DialPoint],
    words: Words,
) -> Spec | None:
    """Both models as points: right keeps more, up has learned more. The gate's box is shaded.

    Args:
        retention: each model's probability of the right choice.
        domain: each model's ROUGE-L on domain questions.
        questions: which questions those are, in words.
        box: what the gate allows; None where it does not judge both.
        dial: the points between the models, where they were measured.
        words: the page's words.
    """
    points = [_learning_point(model, retention[model], domain[model], words) for model in ("base", "tuned")]
    if any(point["x"] is None or point["y"] is None for point in points):
        return None
    between = [{"x": point.retention, "y": point.domain, "name": f"α = {point.alpha:g}"} for point in dial]
    shown = [*points, *between]
    x_scale = alt.Scale(domain=_padded(shown, ("x", "x_low", "x_high"), box and box.retention), nice=False)
    y_scale = alt.Scale(domain=_padded(shown, ("y", "y_low", "y_high"), box and box.domain), nice=False)
    axis = alt.Axis(tickCount=6)
    x = alt.X("x:Q", scale=x_scale, title=words("learning_x"), axis=axis)
    y = alt.Y("y:Q", scale=y_scale, title=words("learning_y", questions=questions), axis=axis)
    colour = alt.Color("model:N", scale=MODEL_COLOURS, legend=None)
    tooltip = [
        alt.Tooltip("name:N", title=words("model")),
        alt.Tooltip("x:Q", title=words("learning_x"), format=".3f"),
        alt.Tooltip("y:Q", title="ROUGE-L", format=".3f"),
    ]
    data = alt.Chart(rows(points))
    thickness = alt.Size("thickness:Q", scale=None)
    layers = [
        *(_gate_box(box, x_scale, y_scale, words) if box else []),
        data.mark_trail(color="var(--muted)", opacity=0.35).encode(x=x, y=y, size=thickness, order="order:Q"),
        *(_dial_layers(between, x, y, tooltip) if between else []),
        data.mark_rule(strokeWidth=2).encode(x=alt.X("x_low:Q", scale=x_scale), x2="x_high:Q", y=y, color=colour),
        data.mark_rule(strokeWidth=2).encode(y=alt.Y("y_low:Q", scale=y_scale), y2="y_high:Q", x=x, color=colour),
        data.mark_point(size=170, filled=True, opacity=1).encode(x=x, y=y, color=colour, tooltip=tooltip),
        data.mark_text(dx=12, dy=-12, align="left", fontWeight=600).encode(x=x, y=y, text="name:N", color=colour),
    ]
    return finish(*layers, height=340)


def _learning_point(model: str, retention: Estimate, domain: Estimate, words: Words) -> dict[str, Any]:
    return {
        "model": model,
        "name": words(model),
        "x": retention.value,
        "x_low": retention.low,
        "x_high": retention.high,
        "y": domain.value,
        "y_low": domain.low,
        "y_high": domain.high,
        "order": 0 if model == "base" else 1,
        "thickness": 1 if model == "base" else 7,
    }


def _dial_layers(points: Sequence[Mapping[str, Any]], x: alt.X, y: alt.Y, tooltip: Sequence[alt.Tooltip]) -> list[alt.Chart]:
    data = alt.Chart(rows(points))
    return [
        data.mark_point(size=60, filled=False, opacity=1, color="var(--tuned)").encode(x=x, y=y, tooltip=[*tooltip]),
        data.mark_text(dx=8, dy=10, align="left", color="var(--muted)").encode(x=x, y=y, text="name:N"),
    ]


def _gate_box(box: Box, x: alt.Scale, y: alt.Scale, words: Words) -> list[alt.Chart]:
    right, top = x.to_dict()["domain"][1], y.to_dict()["domain"][1]
    data = rows([{"x": box.retention, "x2": right, "y": box.domain, "y2": top, "label": words("gate_box")}])
    rectangle = alt.Chart(data).mark_rect(color="var(--pass)", opacity=0.11)
    label = alt.Chart(data).mark_text(align="right", baseline="top", dx=-8, dy=8, color="var(--pass)", fontStyle="italic")
    return [
        rectangle.encode(x=alt.X("x:Q", scale=x), x2="x2:Q", y=alt.Y("y:Q", scale=y), y2="y2:Q"),
        label.encode(x=alt.X("x2:Q", scale=x), y=alt.Y("y2:Q", scale=y), text="label:N"),
    ]


def _padded(points: Sequence[Mapping[str, Any]], keys: Sequence[str], also: float | None) -> list[float]:
    known = [value for value in (*(point.get(key) for point in points for key in keys), also) if value is not None]
    room = 0.22 * (max(known) - min(known)) or 0.05
    return [round(max(0.0, min(known) - room), 4), round(max(known) + room, 4)]
