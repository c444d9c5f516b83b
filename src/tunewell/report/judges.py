"""The judges' health as rows of text, the same on the page and in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from tunewell.bundled import read_yaml
from tunewell.report.facts import Facts
from tunewell.report.words import Words, number, share

_KINDS = ("score", "pair", "calibration")


def names(facts: Facts) -> list[str]:
    """The judges that were asked, in the order of the recipe."""
    return [judge["judge"] for judge in _judges(facts)]


def health(facts: Facts, words: Words) -> list[list[str]]:
    """What is known of each judge: rows of a name and one cell for each judge."""
    judges = _judges(facts)
    rows = [[words("judge_used"), *(words("said_yes" if judge["trusted"] else "said_no") for judge in judges)]]
    for kind in _KINDS:
        if any(kind in judge["coverage"] for judge in judges):
            label = words("judge_coverage", kind=words(f"judged_{kind}"))
            rows.append([label, *(_coverage(judge["coverage"].get(kind), words) for judge in judges)])
    rows.append([words("judge_failures"), *(_failures(judge["failures"], words) for judge in judges)])
    rows.append([words("judge_kappa"), *(_estimate((judge["calibration"] or {}).get("kappa"), words) for judge in judges)])
    rows += [
        [words(f"judge_{key}"), *(_estimate(judge[key], words, percent=key == "flips") for judge in judges)]
        for key in ("spread", "flips", "position_bias", "length_slope", "length_error_slope")
    ]
    rows.append([words("judge_requests"), *(_cost(judge["cost"], words) for judge in judges)])
    # A measure that no judge has says nothing.
    return [row for row in rows if set(row[1:]) != {"–"}]


def agreement(facts: Facts, words: Words) -> list[list[str]]:
    """For each two judges, how far they agree: their names, κ of the scores, κ of the preferences."""
    between = facts.judge["agreement"] if facts.judge else ()
    return [
        [words("and").join(two["judges"]), *(_estimate(two.get(kind), words) for kind in ("scores", "preferences"))]
        for two in between
    ]


def preference(facts: Facts, words: Words) -> str:
    """What the judges preferred when they saw both answers; empty where they did not compare."""
    found = facts.judge["preference"] if facts.judge else None
    if not found or not found["win"] + found["tie"] + found["loss"]:
        return ""
    counts = {key: number(found[key], 0) for key in ("win", "tie", "loss")}
    return words("judge_preference", **counts, net=_estimate(found["net"], words))


def warnings(facts: Facts, words: Words) -> list[str]:
    """What the health record warns of, in words."""
    told = read_yaml("judge", "words.yaml")[words.language]
    found = facts.judge["warnings"] if facts.judge else ()
    return [str(told[one["code"]].format(**{key: told["names"].get(value, value) for key, value in one.items()})) for one in found]


def _judges(facts: Facts) -> Sequence[Mapping[str, Any]]:
    judges: Sequence[Mapping[str, Any]] = facts.judge["judges"] if facts.judge else ()
    return judges


def _coverage(coverage: Mapping[str, int] | None, words: Words) -> str:
    if coverage is None:
        return "–"
    counts = {key: number(coverage[key], 0) for key in ("judged", "of", "verdicts", "asked")}
    return words("judge_covered", **counts, share=share(coverage["judged"] / coverage["of"] if coverage["of"] else None))


def _failures(failures: Mapping[str, Mapping[str, int]], words: Words) -> str:
    """Failures of all kinds together, by type."""
    by_type: dict[str, int] = {}
    for counts in failures.values():
        for failure, count in counts.items():
            by_type[failure] = by_type.get(failure, 0) + count
    told = [f"{words.label('failure', failure)} {number(count, 0)}" for failure, count in sorted(by_type.items())]
    return words("and").join(told) if told else words("none")


def _estimate(estimate: Mapping[str, Any] | None, words: Words, *, percent: bool = False) -> str:
    if estimate is None or estimate["value"] is None:
        return "–"
    value, low, high = (share(estimate[key]) if percent else number(estimate[key]) for key in ("value", "low", "high"))
    if estimate["low"] is None:
        return words("judge_value", value=value, n=number(estimate["n"], 0))
    return words("judge_estimate", value=value, low=low, high=high, n=number(estimate["n"], 0))


def _cost(cost: Mapping[str, Any], words: Words) -> str:
    told = words("judge_paid", n=number(cost["requests"], 0), tokens=number(cost["prompt_tokens"] + cost["completion_tokens"], 0))
    return told if cost["cost"] is None else f"{told}, {number(cost['cost'], 4)} {cost['currency']}"
