"""The room's entry: ask the judges, leave out those that cannot be trusted, and say what the others found."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from tunewell.evaluate.judge.calibration import Labelled, labelled_items
from tunewell.evaluate.judge.cautions import warnings_of
from tunewell.evaluate.judge.health import Examined, Terms, agreements, disagreements, examine
from tunewell.evaluate.judge.outcomes import TIE, Subject, combined
from tunewell.evaluate.judge.rubrics import rubric_language
from tunewell.evaluate.judge.run import Item, Sitting, sit
from tunewell.recipe import Teacher as JudgeSettings
from tunewell.stats import paired, paired_shares


class Findings(NamedTuple):
    """What the trusted judges found.

    `scores` holds by model (`base`, `tuned`) and item the mean over repeats and judges; an item that any of them gave no verdict on
    has no score. `preferences` holds by item what the tuned model has of the pair: 1 a win, 0.5 a tie, 0 a loss, or a mean of
    these. `health` is the record for the report, `warnings` among it.
    """

    scores: Mapping[str, Mapping[str, float]]
    preferences: Mapping[str, float]
    health: Mapping[str, Any]


def judge_answers(items: Sequence[Item], judges: Sequence[JudgeSettings], out_dir: Path, terms: Terms) -> Findings:
    """Have the judges score and compare the answers of both models, and examine the judges.

    Args:
        items: the test items, each with both answers; ids are unique.
        judges: one or more servers and models, in the form of a recipe's section `teacher`.
        out_dir: receives `verdicts.jsonl` and `journal/`. Called again, it asks only what is missing there.
        terms: what is asked, and what a judge must reach on the shipped labelled items.

    Raises:
        TeacherError: a judge is named twice, or cannot be used.
    """
    sittings = sit(items, _labelled(items, terms), judges, out_dir, mode=terms.mode, repeats=terms.repeats)
    return findings_of(sittings, items, terms)


def findings_of(sittings: Sequence[Sitting], items: Sequence[Item], terms: Terms) -> Findings:
    """What is in the verdicts: a pure function of them."""
    labelled = _labelled(items, terms)
    examined = [examine(sitting, items, labelled, terms) for sitting in sittings]
    trusted = [judge for judge in examined if judge.trusted]
    families = {item.id: item.family for item in items}
    scores, preferences = combined([judge.scores for judge in trusted]), combined([judge.preferences for judge in trusted])
    by_model = {
        name: {subject.id: score for subject, score in scores.items() if subject.name == name} for name in ("base", "tuned")
    }
    compares = terms.mode != "score" and trusted
    ties = {Subject(item.id, "pair"): TIE for item in items if item.is_same} if compares else {}
    by_item = {subject.id: outcome for subject, outcome in sorted({**ties, **preferences}.items())}
    return Findings(by_model, by_item, _record(examined, by_model, by_item, families, terms))


def _labelled(items: Sequence[Item], terms: Terms) -> list[Labelled]:
    """The labelled items in the languages in which the items are judged."""
    return labelled_items({rubric_language(item.language) for item in items}) if terms.least_kappa > 0 else []


def _record(
    examined: Sequence[Examined],
    scores: Mapping[str, Mapping[str, float]],
    preferences: Mapping[str, float],
    families: Mapping[str, str],
    terms: Terms,
) -> dict[str, Any]:
    between = agreements(examined, families, terms)
    judges = [judge.health for judge in examined]
    return {
        "scores": _scores(scores, families, terms),
        "preference": _preference(preferences, families, terms),
        "judges": judges,
        "agreement": between,
        "disagreements": disagreements(examined),
        "warnings": warnings_of(judges, between, least_kappa=terms.least_kappa),
    }


def _scores(scores: Mapping[str, Mapping[str, float]], families: Mapping[str, str], terms: Terms) -> dict[str, Any]:
    """The means of both models and their paired difference, on the items on which both have a score."""
    both = [item for item in scores["base"] if item in scores["tuned"]]
    base, tuned = ([scores[name][item] for item in both] for name in ("base", "tuned"))
    return asdict(paired(base, tuned, [families[item] for item in both], confidence=terms.confidence))


def _preference(outcomes: Mapping[str, float], families: Mapping[str, str], terms: Terms) -> dict[str, Any]:
    """Wins, ties and losses of the tuned model, and the share that it wins less the share that it loses."""
    wins, losses = ([max(0.0, sign * (2 * outcome - 1)) for outcome in outcomes.values()] for sign in (1, -1))
    net = paired_shares(losses, wins, [families[item] for item in outcomes], confidence=terms.confidence)
    counts = {
        "win": sum(outcome > TIE for outcome in outcomes.values()),
        "tie": sum(outcome == TIE for outcome in outcomes.values()),
        "loss": sum(outcome < TIE for outcome in outcomes.values()),
    }
    return {**counts, "net": asdict(net.difference)}
