"""How the domain score grows with the number of domain rows."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tunewell.stats import Estimate, mean
from tunewell.sweep.scores import Answers, Ended


def fit_curve(answers: Mapping[str, Answers], runs: Mapping[str, Sequence[Ended]], *, confidence: float) -> dict[str, Any] | None:
    """A straight line through ROUGE-L over the logarithm of domain rows, by least squares; None below three sizes.

    Slope and forecast are linear in the scores, so each item has its own, and the means over items have t intervals over families:
    the gain of doubling the domain rows, and ROUGE-L with twice as many as the largest trial had. Known problems: the intervals
    hold for these items and trainings and for a straight line; nothing vouches for the line beyond the last size.
    """
    rows = {trial: sum(run.rows["domain"] for run in of_trial) / len(of_trial) for trial, of_trial in runs.items()}
    if len(set(rows.values())) < 3 or min(rows.values()) <= 0:
        return None
    order = sorted(rows, key=rows.__getitem__)
    doublings = np.log2([rows[trial] for trial in order])
    centred = doublings - doublings.mean()
    slope = centred / (centred @ centred)
    forecast = 1 / len(order) + slope * (math.log2(2 * rows[order[-1]]) - doublings.mean())
    scores = np.array([[result.measures["rouge_l"] for result in answers[trial].domain.values()] for trial in order])
    families = [result.family for result in answers[order[0]].domain.values()]
    gain, ahead = (mean(weights @ scores, families, confidence=confidence) for weights in (slope, forecast))
    return {
        "points": [
            {"trial": trial, "rows": rows[trial], "rouge_l": float(of_trial.mean())}
            for trial, of_trial in zip(order, scores, strict=True)
        ],
        "per_doubling": _range(gain),
        "rows_ahead": 2 * rows[order[-1]],
        "ahead": _range(ahead),
    }


def _range(estimate: Estimate) -> dict[str, float | None]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}
