"""The numbers of the probes by hand, and the AUROC of the scene."""

from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewell.evaluate.drift import Divergence, Passage
from tunewell.evaluate.leakage import SceneDetector, separation
from tunewell.evaluate.probes import probe_metrics
from tunewell.records import Message, Result

_DETECTOR = SceneDetector(["the payout reaches your bank today"] * 6, ["leaves turn red in autumn"] * 6)
_HEALTHY = {"cut": 0.0, "empty": 0.0}


def _result(
    probe: str,
    variant: str,
    item: str,
    model: Literal["base", "tuned"],
    prediction: str = "",
    *,
    language: str = "en",
    **measures: float,
) -> Result:
    return Result(probe, variant, item, item, language, model, "q", "", prediction, {**_HEALTHY, **measures})


def _found(results: list[Result], divergences: tuple[Divergence, ...] = ()) -> dict[tuple[str, str, str], dict[str, Any]]:
    entries = probe_metrics(results, divergences, _DETECTOR, confidence=0.95, seed=0)
    return {(entry["name"], entry["slice"], entry["language"]): entry for entry in entries}


def test_brittleness_is_told_over_all_held_out_and_system_shells() -> None:
    shells = {"plain": (0, 0), "polite": (0, 0), "agent": (0, 1), "letter": (1, 0), "forwarded": (1, 1)}
    scores = {"base": [0.5, 0.5, 0.5, 0.5, 0.5], "tuned": [0.9, 0.8, 0.5, 0.7, 0.3]}
    said = {"base": "it takes days", "tuned": "it takes days"}
    results = [
        _result("brittleness", shell, f"q{item}", model, said[model], rouge_l=score, held_out=held_out, system=system)
        for item in range(12)
        for model in ("base", "tuned")
        for (shell, (held_out, system)), score in zip(shells.items(), scores[model], strict=True)
    ]
    found = _found(results)
    expected = {"spread": 0.6, "drop_held_out": 0.9 - 0.5, "drop_system": 0.9 - 0.4, "consistency": 1.0}
    for name, tuned in expected.items():
        entry = found[name, "all", "en"]
        assert (entry["n"], entry["base"], entry["tuned"]) == (12, 1.0 if name == "consistency" else 0.0, pytest.approx(tuned))


def test_drift_is_the_mean_over_all_places_and_languages_stand_apart() -> None:
    results = [
        _result("domain", "unseen", f"{code}{item}", model, language=code)
        for code in ("en", "zh")
        for item in range(3)
        for model in ("base", "tuned")
    ]

    def one(code: str, total: float, places: int) -> Divergence:
        return Divergence(Passage("domain", code, f"{code}{places}", (Message("user", "q"),), "a"), total, places)

    found = _found(results, (one("en", 2.0, 10), one("en", 1.0, 5), one("zh", 1.0, 1)))
    assert [found["kl_base_tuned", "domain", code]["tuned"] for code in ("en", "zh", "mixed")] == pytest.approx([0.2, 1.0, 0.25])
    assert found["kl_base_tuned", "domain", "en"]["n"] == 2
    assert found["kl_base_tuned", "domain", "zh"]["low"] is None, "one family tells nothing of the spread"
    assert "note" in found["kl_base_tuned", "domain", "mixed"]


def test_a_model_that_answers_everything_like_the_domain_has_no_scene_left() -> None:
    domain, general = "the payout reaches your bank today", "leaves turn red in autumn"
    results = []
    for item in range(12):
        for model in ("base", "tuned"):
            results.append(_result("domain", "unseen", f"d{item}", model, domain))
            leak = _DETECTOR.judge(general if model == "base" else domain)
            measures = {"leak": float(leak.is_leak), "domain_probability": leak.domain_probability, "overlap": leak.overlap}
            results.append(_result("leakage", "general", f"g{item}", model, **measures))  # type: ignore[arg-type]
    found = _found(results)
    scene = found["scene_auroc", "all", "en"]
    assert (scene["base"], scene["tuned"], scene["difference"], scene["n"]) == (1.0, 0.5, -0.5, 24)
    assert (found["leak", "general", "en"]["base"], found["leak", "general", "en"]["tuned"]) == (0.0, 1.0)
    assert found["overlap", "general", "en"]["tuned"] == 1.0


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12), st.lists(st.integers(0, 6), min_size=1, max_size=12))
def test_separation_is_the_share_of_pairs_in_order(domain: list[int], general: list[int]) -> None:
    expected = np.mean([(one > other) + 0.5 * (one == other) for one in domain for other in general])
    found = separation(domain, general)
    assert found.value == pytest.approx(expected)
    if found.value is not None and found.low is not None and found.high is not None:
        assert found.low <= found.value <= found.high


def test_the_interval_of_the_separation_covers_the_truth() -> None:
    rng = np.random.default_rng(0)
    truth, held = 0.7602, 0  # P(N(1, 1) > N(0, 1))
    for _ in range(400):
        found = separation(rng.normal(1, 1, 40).tolist(), rng.normal(0, 1, 60).tolist())
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_a_clean_separation_is_not_certain() -> None:
    found = separation([2.0, 3.0, 4.0] * 10, [0.0, 1.0] * 20)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025 ** (1 / 30), abs=1e-3)
    assert separation([], [1.0]).value is None
