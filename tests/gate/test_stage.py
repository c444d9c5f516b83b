"""The stage on folders: what it writes, what it counts, what it refuses."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from tunewell.errors import DataError
from tunewell.gate import run
from tunewell.gate.rules import RULES
from tunewell.gate.words import Text, claim_names, claim_text, number
from tunewell.recipe import Recipe
from tunewell.records import RESULT_SCHEMA, Result, Summary, result_to_row
from tunewell.store import write_json, write_rows

METRIC = {"name": "bleu", "slice": "all", "base": 1.0, "tuned": 2.0}


def _result(
    probe: str, variant: str, index: int, model: Literal["base", "tuned"], measures: dict[str, float], *, family: str = ""
) -> Result:
    return Result(probe, variant, f"{index}", family or f"family {index}", "en", model, "?", "reference", "answer", measures)


def _pairs(probe: str, variant: str, name: str, pairs: Iterable[tuple[float, float]], **more: float) -> list[Result]:
    results = []
    for index, (base, tuned) in enumerate(pairs):
        results += [
            _result(probe, variant, index, "base", {name: base, **more}),
            _result(probe, variant, index, "tuned", {name: tuned, **more}),
        ]
    return results


def _good_run() -> list[Result]:
    """Enough results of every probe for every claim to pass."""
    gain = [(0.2, 0.5), (0.3, 0.5)] * 10
    results: list[Result] = []
    for variant in ("seen", "paraphrase", "unseen"):
        for index, (base, tuned) in enumerate(gain):
            results += [
                _result("domain", variant, index, "base", {"rouge_l": base, "answer_loss": 2.0 + base}),
                _result("domain", variant, index, "tuned", {"rouge_l": tuned, "answer_loss": 1.0 + tuned}),
            ]
    for shell in ("plain", "letter", "json"):
        results += _pairs("brittleness", shell, "rouge_l", [(0.4, 0.5), (0.5, 0.6)] * 10)
    results += _pairs("constraints", "length", "followed", [(1.0, 1.0)] * 60)
    results += _pairs("leakage", "general", "leak", [(0.0, 0.0)] * 100)
    results += _pairs("retention", "logic", "probability", [(0.5, 0.5), (0.4, 0.41)] * 30, correct=1.0)
    return results


def _inputs(folder: Path) -> dict[str, Path]:
    stages = {"mix": "4-mix", "train": "5-train", "evaluate": "6-evaluate", "dial": "dial/dial.json"}
    return {stage: folder / name for stage, name in stages.items()}


def _run(folder: Path, results: Iterable[Result], *, metrics: Any = (METRIC,)) -> tuple[Summary, dict[str, Any]]:
    evaluated = folder / "6-evaluate"
    write_rows(evaluated / "results", RESULT_SCHEMA, map(result_to_row, results))
    write_json(evaluated / "metrics.json", list(metrics))
    out_dir = folder / "7-gate"
    summary = run(Recipe().part("gate", "seed"), _inputs(folder), out_dir)
    return summary, json.loads((out_dir / "metrics.json").read_text(encoding="utf-8"))


def test_a_run_that_gains_and_keeps_everything_passes(tmp_path: Path) -> None:
    summary, page = _run(tmp_path, _good_run())
    assert list(page) == ["verdict", "reason", "reason_zh", "confidence", "proposals", "claims", "dial", "metrics"]
    assert (page["verdict"], page["confidence"], page["metrics"]) == ("pass", 0.95, [METRIC])
    assert [claim["name"] for claim in page["claims"]] == [rule.name for rule in RULES if not rule.partial]
    assert {claim["verdict"] for claim in page["claims"]} == {"pass"}
    assert summary == Summary({"claims": 7, "pass": 7, "fail": 0, "inconclusive": 0}, {"verdict": "pass", "reason": page["reason"]})
    assert page["reason"].startswith("Answers to paraphrased training questions improved by 0.250 ROUGE-L (95 % interval 0.")
    assert page["reason"].endswith("Passed: Answer loss, Prompt brittleness, Added constraints, Scene leakage, Seen/unseen gap.")
    assert page["reason_zh"].endswith("通过：回答损失、提示词脆弱性、附加要求、场景泄漏、见过与未见的差距。")


def test_one_open_claim_leaves_the_verdict_open_and_one_failed_claim_decides_it(tmp_path: Path) -> None:
    results = [result for result in _good_run() if result.probe != "leakage"]
    undecided = [*results, *_pairs("leakage", "general", "leak", [(0.0, 0.0)] * 20)]
    summary, page = _run(tmp_path / "open", undecided)
    assert (page["verdict"], summary.counts["inconclusive"]) == ("inconclusive", 1)
    assert "Undecided: Scene leakage (about 152 items needed)." in page["reason"]
    lost = [result for result in undecided if result.probe != "retention"]
    lost += _pairs("retention", "logic", "probability", [(0.5, 0.3), (0.4, 0.3)] * 30, correct=1.0)
    summary, page = _run(tmp_path / "lost", lost)
    assert page["verdict"] == "fail"
    assert summary.counts == {"claims": 7, "pass": 5, "fail": 1, "inconclusive": 1}
    assert page["reason"].startswith("Failed: Retention. ")


def test_probes_that_were_not_run_are_named(tmp_path: Path) -> None:
    summary, page = _run(tmp_path, [result for result in _good_run() if result.probe in ("domain", "retention")])
    assert [claim["name"] for claim in page["claims"]] == ["domain_gain", "domain_loss", "retention", "gap"]
    assert (summary.details["verdict"], page["verdict"]) == ("pass", "pass")
    assert page["reason"].endswith("Not measured: Prompt brittleness, Added constraints, Scene leakage.")


def _scored(results: Iterable[Result], *, judged: int) -> list[Result]:
    """The results with a judge's score on the first items of each domain slice: base 2 points, tuned 3 and 4 in turn."""
    return [
        replace(result, measures={**result.measures, "judge_score": 2.0 if result.model == "base" else 3.0 + int(result.item) % 2})
        if result.probe == "domain" and int(result.item) < judged
        else result
        for result in results
    ]


def test_what_judges_scored_is_a_claim_on_the_judged_items(tmp_path: Path) -> None:
    write_json(tmp_path / "6-evaluate" / "judge.json", {})
    _, page = _run(tmp_path, _scored(_good_run(), judged=12))
    assert [claim["name"] for claim in page["claims"]][:4] == ["domain_gain", "domain_loss", "judge_score", "retention"]
    found = page["claims"][2]
    assert (found["n"], found["base"], found["tuned"], found["verdict"], found["kind"]) == (12, 2.0, 3.5, "pass", "superiority")
    assert [part["variant"] for part in found["by"]] == ["paraphrase", "seen", "unseen"]
    assert found["reason"].startswith(
        "The judges' score of answers to paraphrased training questions improved by 1.500 points of 1 to 5 (95 % interval 1."
    )
    assert "Passed: Answer loss, Judge score," in page["reason"]


def test_judges_that_could_not_be_trusted_are_told_as_not_measured(tmp_path: Path) -> None:
    write_json(tmp_path / "6-evaluate" / "judge.json", {})
    _, page = _run(tmp_path, _good_run())
    assert page["reason"].endswith("Not measured: Judge score.")


def test_no_results_give_no_verdict(tmp_path: Path) -> None:
    summary, page = _run(tmp_path, [], metrics=[])
    assert summary.counts == {"claims": 0, "pass": 0, "fail": 0, "inconclusive": 0}
    assert (page["verdict"], page["claims"]) == ("inconclusive", [])
    assert page["reason"] == "Nothing was measured, so there is no verdict."


def test_the_order_of_results_does_not_change_a_byte(tmp_path: Path) -> None:
    _run(tmp_path / "one", _good_run())
    _run(tmp_path / "other", reversed(_good_run()))
    one, other = (tmp_path / name / "7-gate" / "metrics.json" for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()


def test_a_model_that_diverged_still_gives_a_page_that_is_json(tmp_path: Path) -> None:
    losses: tuple[tuple[Literal["base", "tuned"], float], ...] = (("base", 2.0), ("tuned", float("nan")))
    results = [
        _result("domain", "paraphrase", index, model, {"rouge_l": 0.1 * (index % 3), "answer_loss": loss})
        for index in range(12)
        for model, loss in losses
    ]
    _, page = _run(tmp_path, results)
    loss = next(claim for claim in page["claims"] if claim["name"] == "domain_loss")
    assert (loss["tuned"], loss["low"], loss["verdict"]) == (None, None, "inconclusive")


def test_an_item_of_one_model_only_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        _run(tmp_path, _good_run()[:-1])
    assert caught.value.what == "items answered by one model only: 1, the first is ('retention', 'logic', '59')"
    assert caught.value.where == str(tmp_path / "6-evaluate" / "results")
    assert caught.value.hint == "both models must answer the same items: run `tunewell evaluate` again"


@pytest.mark.parametrize("content", [None, "{"])
def test_metrics_that_cannot_be_read_are_an_error(tmp_path: Path, content: str | None) -> None:
    evaluated = tmp_path / "6-evaluate"
    write_rows(evaluated / "results", RESULT_SCHEMA, [])
    if content is not None:
        (evaluated / "metrics.json").write_text(content)
    with pytest.raises(DataError) as caught:
        run(Recipe().part("gate", "seed"), _inputs(tmp_path), tmp_path / "7-gate")
    assert caught.value.what == "holds no metrics that can be read"
    assert caught.value.where == str(evaluated / "metrics.json")
    assert caught.value.hint == "run `tunewell evaluate` again"


def test_margins_come_from_the_recipe(tmp_path: Path) -> None:
    _run(tmp_path, _good_run())
    gate = Recipe.model_validate({"gate": {"gap": 0.3, "retention": 0.2, "confidence": 0.9}})
    run(gate.part("gate", "seed"), _inputs(tmp_path), tmp_path / "other")
    page = json.loads((tmp_path / "other" / "metrics.json").read_text(encoding="utf-8"))
    claims = {claim["name"]: claim for claim in page["claims"]}
    assert page["confidence"] == 0.9
    assert claims["gap"]["margin"] == 0.3
    assert claims["retention"]["margin"] == pytest.approx(0.2 * 0.45)
    assert "90 % interval" in page["reason"]


def test_every_rule_has_its_words_in_both_languages() -> None:
    assert claim_names() == [rule.name for rule in RULES]
    for rule in RULES:
        for key in ("title", "unit", "definition", "advice", "more"):
            text = claim_text(rule.name, key)
            assert isinstance(text, Text)
            assert text.en
            assert text.zh


def test_numbers_have_no_negative_zero() -> None:
    assert [number(value, signed=True) for value in (0.0004, -0.0004, 0.0006)] == ["0.000", "0.000", "+0.001"]
