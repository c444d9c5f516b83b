"""The table of a sweep of trials as JSON values: what the command prints, and what lies in the run."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tunewell.evaluate import bleu_signatures, corpus_bleu
from tunewell.recipe import Recipe
from tunewell.stats import Estimate, bootstrap, mean
from tunewell.sweep.conclusion import conclude
from tunewell.sweep.curve import fit_curve
from tunewell.sweep.ranking import FEW
from tunewell.sweep.scores import Answers, Ended, Standing, read_answers, stand
from tunewell.sweep.trials import Planned, Preset


class Died(NamedTuple):
    """A trial that did not come to its end under a seed, and why."""

    trial: str
    seed: int
    reason: str


def make_table(
    preset: Preset, recipe: Recipe, trials: Sequence[Planned], ended: Mapping[str, Sequence[Ended]], died: Sequence[Died]
) -> dict[str, Any]:
    """The trials with their scores, the reference first, those that died, and what can be concluded."""
    table = {
        "sweep": preset.name,
        "model": recipe.model,
        "confidence": recipe.gate.confidence,
        "seeds": sorted({planned.seed for planned in trials}),
        "max_new_tokens": recipe.evaluate.max_new_tokens,
        **_scored(preset, recipe, {planned.trial.name: planned for planned in trials}, ended),
        "died": [one._asdict() for one in died],
    }
    return table | {"conclusion": conclude(table)}


def _scored(preset: Preset, recipe: Recipe, plans: Mapping[str, Planned], ended: Mapping[str, Sequence[Ended]]) -> dict[str, Any]:
    if not ended:
        return {"slice": None, "n": 0, "families": 0, "signatures": {}, "base": None, "rows": [], "curve": None}
    confidence = recipe.gate.confidence
    answers, name = read_answers(ended)
    own = next((trial for trial in ended if plans[trial].is_own), "")
    standings = stand(answers, ended, own, confidence=confidence, seed=recipe.seed)
    items = list(next(iter(answers.values())).base.values())
    families, rouge, bleu = [item.family for item in items], [item.measures["rouge_l"] for item in items], corpus_bleu(items)
    return {
        "slice": name,
        "n": len(items),
        "families": len(set(families)),
        "signatures": bleu_signatures(items),
        "base": {
            "rouge_l": _estimate(mean(rouge, families, confidence=confidence)),
            "bleu": _estimate(bootstrap(bleu.statistic, bleu.rows, families, confidence=confidence, seed=recipe.seed)),
        },
        "rows": [
            _row(standing, plans[trial], ended[trial], confidence) | {"by_seed": _by_seed(answers[trial], ended[trial])}
            for standing in standings
            for trial in [standing.score.trial]
        ],
        "curve": fit_curve(answers, ended, confidence=confidence) if preset.is_curve else None,
    }


def _row(standing: Standing, planned: Planned, runs: Sequence[Ended], confidence: float) -> dict[str, Any]:
    score = standing.score
    retention = score.retention
    return {
        "trial": score.trial,
        "changes": dict(planned.trial.changes),
        "own": score.is_own,
        "verdict": score.verdict,
        "reason": next(run.reason for run in runs if run.verdict == score.verdict),
        "reason_zh": next(run.reason_zh for run in runs if run.verdict == score.verdict),
        "rows": dict(runs[0].rows),
        "seconds": round(sum(run.seconds for run in runs) / len(runs), 2),
        "peak_rss_bytes": max(run.peak_rss_bytes for run in runs),
        "rouge_l": _estimate(score.rouge_l),
        "bleu": _estimate(score.bleu),
        "judge": _estimate(score.judge) if score.judge.n else None,
        "behind": _gap(standing, confidence),
        "bleu_behind": standing.bleu_gap and _estimate(standing.bleu_gap),
        "retention": {"base": retention.base, "tuned": retention.tuned, **_estimate(retention.difference)},
    }


def _by_seed(answers: Answers, runs: Sequence[Ended]) -> dict[str, float]:
    """Mean ROUGE-L under each seed."""
    scores: dict[int, list[float]] = {run.seed: [] for run in runs}
    for (seed, _), result in answers.domain.items():
        scores[seed].append(result.measures["rouge_l"])
    return {str(seed): sum(found) / len(found) for seed, found in scores.items() if found}


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n, "families": estimate.clusters}


def _gap(standing: Standing, confidence: float) -> dict[str, Any] | None:
    """`needed` stands where the two are not told apart, but for too few items and not for too few families."""
    gap, needed = standing.gap, standing.needed
    if gap is None:
        return None
    told = gap.is_told(confidence=confidence)
    is_known = not told and gap.difference.clusters >= FEW and needed is not None and needed > gap.difference.n
    return {**_estimate(gap.difference), "p": gap.p, "told_apart": told, "needed": needed if is_known else None}
