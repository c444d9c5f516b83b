"""What a health record warns of: codes with numbers, put in words by `assets/judge/words.yaml`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tunewell.bundled import read_yaml
from tunewell.evaluate.judge.health import FEWEST

_MOST_FLIPS = 0.25
_MOST_BIAS = 0.1
_LEAST_AGREEMENT = 0.4

Warned = Mapping[str, Any]
"""A warning: its `code`, and the values in its sentence."""


def warnings_of(
    judges: Sequence[Mapping[str, Any]], agreements: Sequence[Mapping[str, Any]], *, least_kappa: float
) -> list[Warned]:
    """All that the health records of the judges and the agreements of each two of them give cause to warn of."""
    warned = [warning for health in judges for warning in _of_one(health, least_kappa)]
    warned += [warning for agreement in agreements for warning in _of_two(agreement)]
    if not any(health["trusted"] for health in judges):
        warned.append({"code": "no_judge"})
    return warned


def in_words(warning: Warned, language: str) -> str:
    """The sentence of a warning, in English or Chinese.

    >>> in_words({"code": "flips", "judge": "gpt", "share": 0.3}, "en")
    'gpt changed its choice with the order of the answers in 30% of pairs.'
    """
    words = read_yaml("judge", "words.yaml")[language]
    names = {name: words["names"].get(value, value) for name, value in warning.items()}
    return str(words[warning["code"]].format(**names))


def _of_one(health: Mapping[str, Any], least_kappa: float) -> Iterator[Warned]:
    judge = health["judge"]
    yield from _of_calibration(judge, health["calibration"], least_kappa)
    for kind, coverage in health["coverage"].items():
        if coverage["judged"] < coverage["of"]:
            missing = coverage["of"] - coverage["judged"]
            yield {"code": "not_covered", "judge": judge, "kind": kind, "missing": missing, "of": coverage["of"]}
    flips, bias, slope = health["flips"], health["position_bias"], health["length_error_slope"]
    if flips["n"] >= FEWEST and flips["value"] > _MOST_FLIPS:
        yield {"code": "flips", "judge": judge, "share": flips["value"]}
    if bias["low"] is not None and abs(bias["value"]) > _MOST_BIAS and (bias["low"] > 0 or bias["high"] < 0):
        yield {"code": "position", "judge": judge, "place": "first" if bias["value"] > 0 else "second", "bias": bias["value"]}
    if slope["low"] is not None and slope["low"] > 0:
        yield {"code": "length", "judge": judge, "slope": slope["value"]}


def _of_calibration(judge: str, calibration: Mapping[str, Any] | None, least: float) -> Iterator[Warned]:
    if calibration is None:
        yield {"code": "uncalibrated", "judge": judge}
        return
    kappa = calibration["kappa"]
    if kappa["value"] is None or kappa["n"] < FEWEST:
        yield {"code": "few_labels", "judge": judge, "n": kappa["n"], "of": calibration["of"]}
    elif kappa["value"] < least:
        yield {"code": "low_kappa", "judge": judge, "kappa": kappa["value"], "least": least}
    elif kappa["low"] is None or kappa["low"] < least:
        yield {"code": "unsure_kappa", "judge": judge, "kappa": kappa["value"], "least": least}


def _of_two(agreement: Mapping[str, Any]) -> Iterator[Warned]:
    first, second = agreement["judges"]
    for kind in ("scores", "preferences"):
        value = agreement[kind]["value"]
        if agreement[kind]["n"] >= FEWEST and value is not None and value < _LEAST_AGREEMENT:
            yield {"code": "disagreement", "first": first, "second": second, "kind": kind, "kappa": value}
