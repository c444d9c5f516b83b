"""What can be said of a review in numbers: how far it is, how many rows are wrong, and how far two reviewers agree."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import combinations, takewhile
from pathlib import Path
from typing import Any

from tunewell.review.rows import Rows
from tunewell.review.words import Words
from tunewell.stats import exact_share, kappa
from tunewell.store import Judgement, decided, read_judgements


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """The share of rows that a reviewer rejects or mends: `wrong` of the `n` judged ones of a sample from `population` rows.

    A row that several of the `reviewers` judged counts by the share of them who found it wrong. Were it wrong as soon as one of
    them says so, the rate would grow with each reviewer who looks. The ends are those of the exact 95 % interval of Clopper and
    Pearson, for whole numbers about `wrong` where it is none; None where no row is judged. It takes the rows for drawn from very
    many; of `population` rows it says a little less than could be known.
    """

    value: float | None
    low: float | None
    high: float | None
    wrong: float
    n: int
    population: int
    reviewers: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two reviewers agree about the `n` rows that both judged: Cohen's κ of accept, mend and reject, and its 95 % interval.

    See `stats.kappa`. `agreed` counts the rows of which both said the same. No value where both gave one and the same verdict to
    all rows, for then chance alone would do as well.
    """

    reviewers: tuple[str, str]
    agreed: int
    n: int
    value: float | None
    low: float | None
    high: float | None


def error_rate(judgements: Mapping[str, Mapping[str, Judgement]], drawn: Sequence[str], population: int) -> ErrorRate:
    """The error rate of `population` rows, from the rows that were drawn of them, in the order in which they were drawn.

    `judgements` are those of each reviewer, by row. What counts are the rows before the first one that nobody judged: they are a
    random sample however many there are. Those after it were chosen, by a filter or by leaving others out, and say nothing about
    the rest.
    """
    said = [[one[row].verdict for one in judgements.values() if row in one] for row in drawn]
    judged = list(takewhile(bool, said))
    n = len(judged)
    reviewers = sum(any(row in one for row in drawn[:n]) for one in judgements.values())
    wrong = sum((Fraction(sum(verdict != "accept" for verdict in row), len(row)) for row in judged), Fraction())
    value = float(wrong / n) if n else None
    low, high = exact_share(math.floor(wrong), n).low, exact_share(math.ceil(wrong), n).high
    if n == population:
        low = high = value
    return ErrorRate(value, low, high, float(wrong), n, population, reviewers)


def agreement(folder: Path) -> list[Agreement]:
    """The agreement of each two reviewers who judged a row in common, those with the most rows first.

    Raises `DataError` for a file of decisions that cannot be read.
    """
    return agreements(read_judgements(folder))


def agreements(judgements: Mapping[str, Mapping[str, Judgement]]) -> list[Agreement]:
    """As `agreement`, from the judgements of each reviewer."""
    pairs = [_agreement(judgements, pair) for pair in combinations(sorted(judgements), 2)]
    return sorted((pair for pair in pairs if pair.n), key=lambda pair: (-pair.n, pair.reviewers))


def status(rows: Rows, judgements: Mapping[str, Mapping[str, Judgement]]) -> dict[str, Any]:
    """The state of a review as JSON values, all reviewers together.

    `rows` that may be judged, `judged` and of these `accepted`, `mended` and `rejected`; `error_rate` where the rows are a
    sample, else None; `kappa` of the two reviewers with the most rows in common, None where there are none.
    """
    ids = rows.kept_ids()
    decisions = decided(judgements)
    verdicts = Counter(decisions[row].verdict for row in ids if row in decisions)
    pairs = agreements(judgements)
    return {
        "rows": len(ids),
        "judged": verdicts.total(),
        "accepted": verdicts["accept"],
        "mended": verdicts["mend"],
        "rejected": verdicts["reject"],
        "error_rate": asdict(error_rate(judgements, ids, rows.population)) if rows.is_sample else None,
        "kappa": asdict(pairs[0]) if pairs else None,
    }


def sentences(state: Mapping[str, Any], words: Words) -> list[str]:
    """What `status` says, in words."""
    lines = [words("summary", **{name: f"{state[name]:,}" for name in ("rows", "judged", "accepted", "mended", "rejected")})]
    rate, pair = state["error_rate"], state["kappa"]
    if rate:
        counts = {name: f"{rate[name]:,}" for name in ("n", "population", "reviewers")} | {"wrong": f"{round(rate['wrong'], 1):,g}"}
        share = "" if rate["low"] is None else percent(rate["low"], rate["high"])
        known = "error_rate_mean" if rate["reviewers"] > 1 else "error_rate"
        lines.append(words(known if share else "error_rate_unknown", share=share, **counts))
    if pair:
        first, second = pair["reviewers"]
        ends = {name: f"{pair[name]:.2f}".replace("-", "−") for name in ("value", "low", "high") if pair[name] is not None}
        name = "kappa" if ends else "kappa_unknown"
        lines.append(words(name, first=first, second=second, n=f"{pair['n']:,}", agreed=f"{pair['agreed']:,}", **ends))
    return lines


def percent(low: float, high: float) -> str:
    """An interval of shares in per cent, rounded outwards; with a decimal where it is narrow.

    >>> percent(0.0352, 0.1172), percent(0.0, 0.0151), percent(0.126, 0.126)
    ('3–12 %', '0.0–1.6 %', '12.6 %')
    """
    if low == high:
        return f"{100 * low:.1f} %"
    digits = 0 if high - low >= 0.04 else 1
    step = 10**digits
    ends = math.floor(round(low * 100 * step, 6)) / step, math.ceil(round(high * 100 * step, 6)) / step
    return f"{ends[0]:.{digits}f}–{ends[1]:.{digits}f} %"


def _agreement(judgements: Mapping[str, Mapping[str, Judgement]], pair: tuple[str, str]) -> Agreement:
    one, other = (judgements[name] for name in pair)
    both = [row for row in one if row in other]
    verdicts = [one[row].verdict for row in both], [other[row].verdict for row in both]
    estimate = kappa(*verdicts)
    agreed = sum(first == second for first, second in zip(*verdicts, strict=True))
    return Agreement(pair, agreed, len(both), estimate.value, estimate.low, estimate.high)
