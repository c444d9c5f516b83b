"""Proposals rest on what was measured, and on nothing else."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.gate.test_claims import MARGINS, _retention, one_measure
from tunewell.gate.claims import Claim, claims_of
from tunewell.gate.proposals import Measured, Proposal, proposals, read_measured
from tunewell.store import Manifest, write_json

POOLS = {"pools": [{"pool": "domain", "rows": 240, "left_out": 0}, {"pool": "open", "rows": 80, "left_out": 44}]}
NOTHING = Measured(None, {}, [], {})


def claims(*, kept: float, leaked: bool) -> list[Claim]:
    """Retention of so much of the base value, and leaks on no prompt or on half of them."""
    probes = {
        "retention": _retention([(0.5, 0.5 * kept + 0.01), (0.5, 0.5 * kept - 0.01)] * 10),
        "leakage": one_measure("general", "leak", [(0.0, 1.0 * leaked), (0.0, 0.0)] * 50),
    }
    return claims_of(probes, margins=MARGINS, confidence=0.95)


def dial(best: float | None) -> dict[str, Any]:
    rows = [
        {
            "alpha": alpha,
            "retention": {"tuned": 0.5 - 0.1 * alpha, "base": 0.5},
            "domain": {"tuned": 0.1 + 0.2 * alpha, "base": 0.1},
        }
        for alpha in (0.0, 0.5, 1.0)
    ]
    return {"best": best, "rows": rows}


def proposed(found: Sequence[Claim], measured: Measured) -> list[Proposal]:
    return proposals(found, measured, floor=0.05)


def test_nothing_lost_or_nothing_measured_gives_no_proposal() -> None:
    all_of_it = Measured(dial(0.5), {}, [], POOLS)
    assert proposed(claims(kept=1.0, leaked=False), all_of_it) == []
    assert proposed(claims(kept=0.5, leaked=True), NOTHING) == []


@pytest.mark.parametrize(("best", "told"), [(0.5, True), (0.0, False), (1.0, False), (None, False)])
def test_the_dials_best_value(best: float | None, told: bool) -> None:
    found = proposed(claims(kept=0.5, leaked=False), NOTHING._replace(dial=dial(best)))
    assert bool(found) == told
    if told:
        assert (found[0].kind, found[0].change) == ("dial", "tunewell dial RUN --save")
        assert found[0].text == (
            "Keep 0.5 of what training changed (α of the dial): measured there, the probability of the right choice is 0.450 "
            "(base 0.500; it passes) and ROUGE-L 0.200 (base 0.100, whole change 0.300)."
        )
        assert "旋钮 α" in found[0].text_zh


@pytest.mark.parametrize(
    ("looks", "step"), [((0.5, 0.48, 0.41), 20), ((0.4, 0.41, 0.4), None), ((0.5, 0.4, 0.49), None), ((), None)]
)
def test_the_last_look_within_the_floor(looks: Sequence[float], step: int | None) -> None:
    log = [{"step": 10 * place, "retention": score} for place, score in enumerate(looks, start=1)] + [{"step": 35, "loss": 1.0}]
    training = {"steps": 35, "guard": {"base": 0.5, "items": 64, "stopped": None}}
    found = proposed(claims(kept=0.5, leaked=False), NOTHING._replace(training=training, log=log))
    checkpoints = [proposal for proposal in found if proposal.kind == "checkpoint"]
    assert len(checkpoints) == (step is not None)
    if step is not None:
        assert checkpoints[0].change == "--set guard.floor=0.05"
        assert checkpoints[0].text.startswith(
            f"Take an earlier checkpoint: the quick look at step {step} of 35 found 64 retention items at 0.480 "
            "(base 0.500, at least 0.475 asked), the last one 0.410."
        )


def test_a_training_that_went_back_itself_has_no_earlier_checkpoint_to_offer() -> None:
    training = {"steps": 20, "guard": {"base": 0.5, "items": 64, "stopped": {"step": 20, "retention": 0.4}}}
    log = [{"step": 10, "retention": 0.5}, {"step": 20, "retention": 0.4}]
    assert proposed(claims(kept=0.5, leaked=False), NOTHING._replace(training=training, log=log)) == []


def test_more_replay_names_what_was_lost_and_what_lies_unused() -> None:
    [found] = proposed(claims(kept=0.5, leaked=True), NOTHING._replace(mixture=POOLS))
    assert (found.kind, found.change) == ("replay", "--set data.ratio.domain=1 --set data.ratio.open=0.67")
    assert found.text == (
        "Try more replay: Retention, Scene leakage did not hold with 80 open rows beside 240 domain rows. "
        "Twice their share is a first value to try, not a measured one; 44 open rows lie unused."
    )
    assert "能力保持、场景泄漏" in found.text_zh
    without = {"pools": [POOLS["pools"][0], {"pool": "open", "rows": 0, "left_out": 0}]}
    [found] = proposed(claims(kept=0.5, leaked=True), NOTHING._replace(mixture=without))
    assert found.change.endswith("data.ratio.open=0.33")


def test_a_dial_of_another_training_is_not_used(tmp_path: Path) -> None:
    inputs = {"mix": tmp_path / "4-mix", "train": tmp_path / "5-train", "dial": tmp_path / "dial" / "dial.json"}
    assert read_measured(inputs) == NOTHING
    manifest = Manifest("train", "key", {}, {}, "digest of the weights", {}, 1.0, {}, 0, 0, {})
    inputs["train"].mkdir()
    manifest.write(inputs["train"])
    (inputs["train"] / "log.jsonl").write_text(json.dumps({"step": 1}) + "\n", encoding="utf-8")
    write_json(inputs["dial"], {"training": "another", "best": 0.5})
    assert read_measured(inputs) == NOTHING._replace(log=[{"step": 1}])
    write_json(inputs["dial"], {"training": manifest.outputs, "best": 0.5})
    assert read_measured(inputs).dial == {"training": manifest.outputs, "best": 0.5}
