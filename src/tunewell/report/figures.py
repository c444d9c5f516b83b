"""All charts of a run, each under the name by which the page knows it."""

from collections.abc import Sequence

from tunewell.report import charts, content, generated, run_charts
from tunewell.report.facts import Facts
from tunewell.report.funnel import Step
from tunewell.report.probe_charts import slice_bars
from tunewell.report.slices import SliceMean, mean_of, slice_means
from tunewell.report.words import Words

_DOMAIN_SLICES = ("seen", "paraphrase", "unseen")


def figures(facts: Facts, words: Words, *, steps: Sequence[Step], changes: Sequence[float]) -> dict[str, charts.Spec]:
    """The charts that this run has data for.

    Args:
        facts: what the stages left.
        words: the page's words.
        steps: the way of the rows.
        changes: tuned − base in ROUGE-L of each domain answer that the histogram is about.
    """
    stages = [(manifest.stage, manifest.seconds) for manifest in content.finished_stages(facts)]
    drawn = {
        "forest": charts.forest(facts.gate["claims"], words),
        "learning": _learning(facts, words),
        "brittleness": _bars(facts, words, "brittleness", measure="rouge_l"),
        "constraints": _bars(facts, words, "constraints", measure="followed", percent=True),
        "leakage": _bars(facts, words, "leakage", measure="leak", percent=True),
        "gap": _gap(facts, words),
        "loss": run_charts.loss_curve(facts.log, words),
        "funnel": run_charts.waterfall(steps, words),
        "histogram": run_charts.difference_histogram(changes, words),
        "cost": run_charts.stage_seconds(stages, words) if stages else None,
        **{
            f"generated_{task['task']}": run_charts.waterfall(generated.task_steps(task, words), words)
            for task in generated.tasks(facts)
        },
    }
    return {name: spec for name, spec in drawn.items() if spec is not None}


def _learning(facts: Facts, words: Words) -> charts.Spec | None:
    confidence, learned = facts.gate["confidence"], facts.claim("domain_gain")
    if learned is None:
        return None
    retention = mean_of(facts.results, "retention", "probability", confidence=confidence)
    domain = mean_of(facts.results, "domain", "rouge_l", variant=learned["variant"], confidence=confidence)
    if len(retention) < 2 or len(domain) < 2:
        return None
    questions = words.label("questions", learned["variant"])
    return charts.learning(retention, domain, questions=questions, box=_box(facts), dial=_dial(facts), words=words)


def _box(facts: Facts) -> charts.Box | None:
    kept, learned = facts.claim("retention"), facts.claim("domain_gain")
    if kept is None or learned is None or kept["base"] is None or learned["base"] is None:
        return None
    return charts.Box(kept["base"] + (charts.allowed_change(kept) or 0.0), learned["base"])


def _dial(facts: Facts) -> list[charts.DialPoint]:
    """What the dial measured between base and tuned model."""
    rows = (facts.gate.get("dial") or {"rows": ()})["rows"]
    measured = [charts.DialPoint(row["alpha"], row["retention"]["tuned"], row["domain"]["tuned"]) for row in rows]
    return [point for point in measured if 0 < point.alpha < 1]


def _bars(facts: Facts, words: Words, probe: str, *, measure: str, percent: bool = False) -> charts.Spec | None:
    confidence = facts.gate["confidence"]
    means = slice_means(facts.results, probe, measure, confidence=confidence)
    if percent:
        together = mean_of(facts.results, probe, measure, confidence=confidence)
        means = [SliceMean("all", model, estimate, held_out=False) for model, estimate in together.items()] + means

    def label(mean: SliceMean) -> str:
        return words.label("slice", mean.variant) + (" ○" if mean.held_out else "")

    return slice_bars(means, words, measure=words(f"{probe}_measure"), label=label, percent=percent)


def _gap(facts: Facts, words: Words) -> charts.Spec | None:
    means = slice_means(facts.results, "domain", "rouge_l", confidence=facts.gate["confidence"])
    known = sorted((mean for mean in means if mean.variant in _DOMAIN_SLICES), key=lambda mean: _DOMAIN_SLICES.index(mean.variant))
    return slice_bars(known, words, measure=words("gap_measure"), label=lambda mean: words.label("slice", mean.variant))
