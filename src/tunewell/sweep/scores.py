"""What trials reached on the same items, read from their runs, and the differences between them."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import NamedTuple

from tunewell.errors import DataError
from tunewell.evaluate import corpus_bleu
from tunewell.pipeline import stage_folder
from tunewell.records import Result
from tunewell.stats import Comparison, Estimate, bootstrap, items_needed, mean, paired, paired_bootstrap
from tunewell.store import read_results
from tunewell.sweep.ranking import Gap, gaps_behind_first

_JUDGE = "judge_score"
_SCORED_SLICES = ("paraphrase", "unseen", "seen")
_VERDICTS = ("fail", "inconclusive", "pass")

Key = tuple[int, str]
"""A seed and an item."""


class Ended(NamedTuple):
    """A run that went to its end: its seed and folder, what the gate says, and what training took."""

    seed: int
    folder: Path
    verdict: str
    reason: str
    reason_zh: str
    seconds: float
    peak_rss_bytes: int
    rows: Mapping[str, int]


class Answers(NamedTuple):
    """The tuned model's and the base's answers to the domain items of one slice, and both models' results on retention items."""

    domain: Mapping[Key, Result]
    base: Mapping[Key, Result]
    retention: Mapping[Key, tuple[Result, Result]]


@dataclass(frozen=True, slots=True)
class Score:
    """What a trial reached: domain on the items that all trials share, retention beside the base, the verdict of its worst run.

    `judge` is the judges' score from 1 to 5 on those of the items that they scored under every trial.
    """

    trial: str
    is_own: bool
    rouge_l: Estimate
    bleu: Estimate
    judge: Estimate
    retention: Comparison
    verdict: str


class Standing(NamedTuple):
    """A trial in the table, and how far it lies behind the reference in ROUGE-L and in BLEU; the reference has no gap.

    `needed` is about how many items would tell the two apart if ROUGE-L stays where it is, tested as one of all pairs.
    """

    score: Score
    gap: Gap | None = None
    bleu_gap: Estimate | None = None
    needed: int | None = None


def read_ended(folder: Path, seed: int) -> Ended:
    """What a finished run says of itself."""
    metrics, training, mixture = (
        json.loads(path.read_text(encoding="utf-8"))
        for path in (
            folder / "metrics.json",
            stage_folder(folder, "train") / "training.json",
            stage_folder(folder, "mix") / "mixture.json",
        )
    )
    rows = {pool["pool"]: pool["rows"] for pool in mixture["pools"]}
    return Ended(
        seed,
        folder,
        metrics["verdict"],
        metrics["reason"],
        metrics["reason_zh"],
        training["seconds"],
        training["peak_rss_bytes"],
        rows,
    )


def read_answers(runs: Mapping[str, Sequence[Ended]]) -> tuple[dict[str, Answers], str]:
    """The answers of each trial to the items that all of them share, over all seeds, and the slice of these items.

    The slice is the first of `paraphrase`, `unseen` and `seen` of which they share items: the one by which the gate judges the
    domain gain, where it can. Raises `DataError` where there is none.
    """
    every = {trial: _read(ended) for trial, ended in runs.items()}
    shared = set.intersection(*(set(answers.domain) for answers in every.values()))
    if not shared:
        hint = "give `data.test`, so that all trials answer the same items"
        raise DataError("the trials share no test item", where=", ".join(runs), hint=hint)
    first = next(iter(every.values())).domain
    slices = {first[key].variant for key in shared}
    name = next(name for name in _SCORED_SLICES if name in slices)
    keys = sorted(key for key in shared if first[key].variant == name)
    chosen = {
        trial: Answers({key: found.domain[key] for key in keys}, {key: found.base[key] for key in keys}, found.retention)
        for trial, found in every.items()
    }
    return chosen, name


def stand(
    answers: Mapping[str, Answers], runs: Mapping[str, Sequence[Ended]], own: str, *, confidence: float, seed: int
) -> list[Standing]:
    """The trials, the reference first and then by ROUGE-L: the best of those that no gate fails, or the best of all.

    `own` is the trial that is the recipe as it stands. ROUGE-L is a mean with a t interval over families, as in the gate; BLEU is
    corpus BLEU with a bootstrap over families.
    """
    families = [result.family for result in next(iter(answers.values())).domain.values()]
    rouge = {trial: [result.measures["rouge_l"] for result in found.domain.values()] for trial, found in answers.items()}
    bleu = {trial: corpus_bleu(list(found.domain.values())) for trial, found in answers.items()}
    judged = _judged(answers)
    scores = [
        Score(
            trial,
            trial == own,
            mean(rouge[trial], families, confidence=confidence),
            bootstrap(bleu[trial].statistic, bleu[trial].rows, families, confidence=confidence, seed=seed),
            _judge(found.domain, judged, confidence=confidence),
            _retention(found.retention, confidence=confidence),
            worst([ended.verdict for ended in runs[trial]]),
        )
        for trial, found in answers.items()
    ]
    scores.sort(key=lambda score: -(score.rouge_l.value or 0.0))
    reference = next((score for score in scores if score.verdict != "fail"), scores[0])
    scores = [reference, *(score for score in scores if score is not reference)]

    def behind(better: str, worse: str, *, confidence: float = confidence) -> Estimate:
        return paired(rouge[worse], rouge[better], families, confidence=confidence).difference

    def standing(score: Score, gap: Gap) -> Standing:
        first, second = bleu[score.trial], bleu[reference.trial]
        apart = paired_bootstrap(first.statistic, first.rows, second.rows, families, confidence=confidence, seed=seed)
        stricter = behind(reference.trial, score.trial, confidence=1 - (1 - confidence) / comb(len(scores), 2))
        return Standing(score, gap, apart.difference, items_needed(stricter, 0.0))

    gaps = gaps_behind_first([score.trial for score in scores], behind)
    return [Standing(reference), *(standing(score, gap) for score, gap in zip(scores[1:], gaps, strict=True))]


def worst(verdicts: Iterable[str]) -> str:
    """The verdict of several runs taken together.

    >>> worst(["pass", "fail"]), worst(["pass"])
    ('fail', 'pass')
    """
    return min(verdicts, key=_VERDICTS.index)


def _read(runs: Sequence[Ended]) -> Answers:
    found: dict[tuple[str, str], dict[Key, Result]] = defaultdict(dict)
    for run in runs:
        for result in read_results(stage_folder(run.folder, "evaluate") / "results"):
            found[result.probe, result.model][run.seed, f"{result.variant}/{result.item}"] = result
    base, tuned = found["retention", "base"], found["retention", "tuned"]
    return Answers(found["domain", "tuned"], found["domain", "base"], {key: (base[key], tuned[key]) for key in sorted(base)})


def _retention(pairs: Mapping[Key, tuple[Result, Result]], *, confidence: float) -> Comparison:
    base, tuned = ([pair[place].measures["probability"] for pair in pairs.values()] for place in (0, 1))
    families = [first.family for first, _ in pairs.values()]
    return paired(base, tuned, families, confidence=confidence)


def _judged(answers: Mapping[str, Answers]) -> list[Key]:
    """The items that have a judges' score under every trial."""
    first, *others = ({key for key, result in found.domain.items() if _JUDGE in result.measures} for found in answers.values())
    return sorted(first.intersection(*others))


def _judge(domain: Mapping[Key, Result], keys: Sequence[Key], *, confidence: float) -> Estimate:
    results = [domain[key] for key in keys]
    return mean([result.measures[_JUDGE] for result in results], [result.family for result in results], confidence=confidence)
