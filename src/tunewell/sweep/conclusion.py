"""What a sweep of trials shows and what it does not, in plain words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tunewell.bundled import read_yaml
from tunewell.sweep.advice import LANGUAGES, p_text, percent
from tunewell.sweep.ranking import FEW

_GIB = 1 << 30


def conclude(table: Mapping[str, Any]) -> dict[str, Any]:
    """The conclusion as JSON: the trials that the data cannot tell from the first, it among them, and the words."""
    texts = {language: list(_sentences(table, read_trial_words(language))) for language in LANGUAGES}
    return {
        "level": [row["trial"] for row in _level(table["rows"])],
        "text": " ".join(texts["en"]),
        "text_zh": "".join(texts["zh"]),
    }


def read_trial_words(language: str) -> Any:
    """The words of a language, `en` or `zh`."""
    return read_yaml("sweep", "trials.yaml")[language]


def gibibytes(size: int) -> str:
    """A size of memory.

    >>> gibibytes(3 << 29)
    '1.50 GiB'
    """
    return f"{size / _GIB:.2f} GiB"


def duration(seconds: float) -> str:
    """A time as a person says it.

    >>> duration(12.34), duration(754), duration(18000)
    ('12.3 s', '12.6 min', '5.0 h')
    """
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _level(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["behind"] is None or not row["behind"]["told_apart"]]


def _sentences(table: Mapping[str, Any], words: Any) -> Iterator[str]:
    rows, confidence = table["rows"], table["confidence"]
    yield from _comparison(table, words, confidence=confidence)
    failed = [row for row in rows if row["verdict"] == "fail"]
    if failed:
        yield words["failed"].format(trials=_names(failed, words))
    level = _level(rows)
    if len(rows) > 1 and len(level) > 1:
        yield _cheapest(level, words)
    if curve := table["curve"]:
        yield _curve(curve, words, confidence=confidence)
    if table["died"]:
        yield words["died"].format(trials=_names({one["trial"]: one for one in table["died"]}.values(), words))
    if rows:
        count = len(table["seeds"])
        yield words["one_seed"] if count == 1 else words["seeds"].format(count=count)


def _comparison(table: Mapping[str, Any], words: Any, *, confidence: float) -> Iterator[str]:
    rows = table["rows"]
    if not rows:
        yield words["none"]
        return
    first, *others = rows
    parts = {"first": first["trial"], "score": _number(first["rouge_l"]["value"])}
    if not others:
        yield words["only"].format(**parts)
        return
    is_passed_over = any((row["behind"]["value"] or 0) < 0 for row in others)
    yield words["first_unfailed" if is_passed_over else "first"].format(**parts)
    told = [row for row in others if row["behind"]["told_apart"]]
    untold = [row for row in others if not row["behind"]["told_apart"]]
    if told:
        yield words["told"].format(trials=_listed(told, words, confidence=confidence))
    if untold:
        yield words["untold"].format(trials=_listed(untold, words, confidence=confidence))
    if table["families"] < FEW:
        yield words["few"].format(families=table["families"], few=FEW)


def _listed(rows: Sequence[Mapping[str, Any]], words: Any, *, confidence: float) -> str:
    return str(words["and_then"].join(_gap(row, words, confidence=confidence) for row in rows))


def _gap(row: Mapping[str, Any], words: Any, *, confidence: float) -> str:
    """Such as: `full` (0.012 behind, 95 % interval -0.010 to 0.034, p = 0.210; about 900 items would settle it)."""
    gap = row["behind"]
    if gap["low"] is None:
        return str(words["no_interval"].format(trial=row["trial"]))
    is_ahead = gap["value"] < 0
    low, high = (-gap["high"], -gap["low"]) if is_ahead else (gap["low"], gap["high"])
    p = p_text(gap["p"])
    return str(
        words["ahead" if is_ahead else "behind"].format(
            trial=row["trial"],
            difference=_number(abs(gap["value"])),
            confidence=percent(confidence),
            low=_number(low),
            high=_number(high),
            p=p if p.startswith("<") else f"= {p}",
            needed=words["needed"].format(needed=f"{gap['needed']:,}") if gap["needed"] else "",
        )
    )


def _cheapest(level: Sequence[Mapping[str, Any]], words: Any) -> str:
    fast, small = min(level, key=lambda row: row["seconds"]), min(level, key=lambda row: row["peak_rss_bytes"])
    costs = {"seconds": duration(fast["seconds"]), "memory": gibibytes(small["peak_rss_bytes"])}
    return str(words["cheapest" if fast is small else "cheap"].format(fast=fast["trial"], small=small["trial"], **costs))


def _curve(curve: Mapping[str, Any], words: Any, *, confidence: float) -> str:
    gain, ahead = curve["per_doubling"], curve["ahead"]
    if gain["low"] is None:
        return str(words["curve_unknown"])
    key = "curve" if gain["low"] > 0 or gain["high"] < 0 else "curve_flat"
    numbers = {f"{name}_{end}": _number(part[end]) for name, part in (("gain", gain), ("ahead", ahead)) for end in part}
    return str(words[key].format(**numbers, rows=f"{curve['rows_ahead']:,.0f}", confidence=percent(confidence)))


def _names(rows: Any, words: Any) -> str:
    return str(words["and"].join(f"`{row['trial']}`" for row in rows))


def _number(value: float | None) -> str:
    """Three decimals, never a negative zero."""
    return "–" if value is None else f"{round(value, 3) + 0.0:.3f}"
