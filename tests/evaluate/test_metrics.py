"""Corpus metrics against sacrebleu and by hand, and their slices, languages, intervals and notes."""

import time
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from tunewell.errors import DataError
from tunewell.evaluate.definitions import METRICS, rouge_l
from tunewell.evaluate.metrics import corpus_metrics, facet_metrics
from tunewell.records import Result
from tunewell.text import tokens

ENGLISH = [
    "Refunds take five days.",
    "You can change the payout account in Settings.",
    "The fee is 1.4 % a sale, with no monthly cost.",
]
CHINESE = ["退款需要五个工作日到账。", "请在设置中修改收款账户。", "每笔手续费为百分之一点四，没有月费。"]
TEXTS = st.text(alphabet="ab 退款,.1", max_size=12)


def _result(
    model: Literal["base", "tuned"], item: str, prediction: str, reference: str, *, variant: str = "seen", loss: float = 1.0
) -> Result:
    chinese = any(character > "㐀" for character in reference)
    return Result(
        probe="domain",
        variant=variant,
        item=item,
        family=item,
        language="zh" if chinese else "en",
        model=model,
        prompt="?",
        reference=reference,
        prediction=prediction,
        measures={
            "rouge_l": rouge_l(prediction, reference),
            "answer_loss": loss,
            "answer_tokens": float(len(reference)),
            "cut": 0.0,
        },
    )


def _both(references: Sequence[str], *, count: int, variant: str = "seen", name: str = "q") -> list[Result]:
    """The base model says half of each answer, the tuned one all but its last characters."""
    results = []
    for index in range(count):
        reference = references[index % len(references)]
        item = f"{name}{index}"
        results += [
            _result("base", item, reference[: len(reference) // 2], reference, variant=variant, loss=2.0),
            _result("tuned", item, reference[: -1 - index % 3], reference, variant=variant, loss=1.0),
        ]
    return results


def _metrics(results: Sequence[Result]) -> dict[tuple[str, str, str], dict[str, Any]]:
    entries = corpus_metrics(results, confidence=0.95, seed=0)
    return {(entry["name"], entry["slice"], entry["language"]): entry for entry in entries}


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        ("the cat sat", "the cat sat", 1.0),
        ("the cat sat down", "The cat lay down!", 0.75),
        ("a b c", "c b a", 1 / 3),
        ("退款要五天", "退款需五天", 0.8),
        ("", "退款", 0.0),
        ("", "", 0.0),
        ("...", "...", 0.0),
    ],
)
def test_rouge_l(prediction: str, reference: str, expected: float) -> None:
    assert rouge_l(prediction, reference) == pytest.approx(expected)


@given(TEXTS, TEXTS)
def test_rouge_l_is_f1_of_the_longest_common_subsequence(first: str, second: str) -> None:
    one, other = tokens(first), tokens(second)
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for row, token in enumerate(one, start=1):
        for column, candidate in enumerate(other, start=1):
            table[row][column] = (
                table[row - 1][column - 1] + 1 if token == candidate else max(table[row - 1][column], table[row][column - 1])
            )
    expected = 2 * table[-1][-1] / (len(one) + len(other)) if one and other else 0.0
    assert rouge_l(first, second) == pytest.approx(expected)


@pytest.mark.parametrize(("references", "language", "tokenizer"), [(ENGLISH, "en", "13a"), (CHINESE, "zh", "zh")])
def test_bleu_and_chrf_are_those_of_sacrebleu(references: list[str], language: str, tokenizer: str) -> None:
    results = _both(references, count=12)
    found = _metrics(results)
    for name, metric in {"bleu": BLEU(tokenize=tokenizer), "chrf": CHRF()}.items():
        entry = found[name, "all", language]
        for model in ("base", "tuned"):
            answers = [result for result in results if result.model == model]
            score = metric.corpus_score([answer.prediction for answer in answers], [[answer.reference for answer in answers]])
            assert entry[model] == pytest.approx(score.score, abs=1e-9)
        assert entry["signature"] == str(metric.get_signature())
        assert entry["difference"] == pytest.approx(entry["tuned"] - entry["base"])
        assert entry["low"] < entry["difference"] < entry["high"]


def test_bleu_without_a_common_run_of_four_words_is_smoothed_as_its_signature_says() -> None:
    results = [
        _result(model, str(place), "we take six days", "we take five days") for place in range(10) for model in ("base", "tuned")
    ]
    entry = _metrics(results)["bleu", "all", "en"]
    expected = BLEU(tokenize="13a").corpus_score(["we take six days"] * 10, [["we take five days"] * 10]).score
    assert expected > 0
    assert entry["base"] == pytest.approx(expected)
    assert "smooth:exp" in entry["signature"]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4))
def test_chrf_of_any_texts_is_that_of_sacrebleu(pairs: list[tuple[str, str]]) -> None:
    results = [
        _result(model, str(index), prediction, reference)
        for index, (prediction, reference) in enumerate(pairs)
        for model in ("base", "tuned")
    ]
    expected = CHRF().corpus_score([prediction for prediction, _ in pairs], [[reference for _, reference in pairs]]).score
    found = [entry for entry in corpus_metrics(results, confidence=0.9, seed=0) if entry["name"] == "chrf"]
    assert found[0]["base"] == pytest.approx(expected, abs=1e-9)


def test_identical_chinese_answers_score_100_under_the_chinese_tokenizer() -> None:
    results = [_result(model, str(index), CHINESE[index], CHINESE[index]) for index in range(3) for model in ("base", "tuned")]
    entry = _metrics(results)["bleu", "all", "zh"]
    assert entry["base"] == pytest.approx(100.0)
    assert "tok:zh" in entry["signature"]


def test_a_mixed_set_has_no_mixed_bleu_and_every_language_apart() -> None:
    found = _metrics([*_both(ENGLISH, count=10, name="e"), *_both(CHINESE, count=11, name="z")])
    languages = {name: {language for metric, _, language in found if metric == name} for name, _, _ in found}
    assert languages["bleu"] == {"en", "zh"}
    assert languages["chrf"] == languages["rouge_l"] == languages["answer_loss"] == {"mixed", "en", "zh"}
    assert [found["chrf", "all", language]["n"] for language in ("en", "zh", "mixed")] == [10, 11, 21]


def test_slices_are_those_of_the_triples() -> None:
    found = _metrics(
        [
            *_both(ENGLISH, count=10, variant="seen"),
            *_both(ENGLISH, count=12, variant="paraphrase"),
            *_both(ENGLISH, count=14, variant="unseen"),
        ]
    )
    assert {slice_name: found["rouge_l", slice_name, "en"]["n"] for name, slice_name, _ in found if name == "rouge_l"} == {
        "all": 36,
        "seen": 10,
        "paraphrase": 12,
        "unseen": 14,
    }


def test_answer_loss_weighs_every_token_alike() -> None:
    results = []
    for index in range(12):
        reference = "long answer of many words" if index else "ok"
        results += [
            _result("base", str(index), "", reference, loss=2.0 if index else 8.0),
            _result("tuned", str(index), "", reference, loss=1.0 if index else 8.0),
        ]
    entry = _metrics(results)["answer_loss", "all", "en"]
    many, few = 11 * 25, 2
    assert entry["base"] == pytest.approx((2.0 * many + 8.0 * few) / (many + few))
    assert entry["tuned"] == pytest.approx((1.0 * many + 8.0 * few) / (many + few))
    assert (entry["unit"], entry["better"]) == ("nats per token", "lower")
    assert entry["high"] < 0


def test_dispersion_is_the_ratio_of_standard_deviations() -> None:
    rng = np.random.default_rng(0)
    results = []
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    kept: dict[tuple[str, str], list[float]] = {}
    for index in range(30):
        for variant, spread in (("seen", 2), ("unseen", 6)):
            for model in ("base", "tuned"):
                prediction = " ".join(words[: 8 - int(rng.integers(0, spread))])
                result = _result(model, str(index), prediction, " ".join(words), variant=variant)
                kept.setdefault((model, variant), []).append(result.measures["rouge_l"])
                results.append(result)
    entry = _metrics(results)["dispersion", "all", "en"]
    for model in ("base", "tuned"):
        assert entry[model] == pytest.approx(np.std(kept[model, "unseen"], ddof=1) / np.std(kept[model, "seen"], ddof=1))


def test_dispersion_without_spread_on_seen_questions_is_unknown() -> None:
    results = [*_both(["a b c d"], count=12, variant="unseen")]
    for index in range(12):
        results += [_result("base", f"q{index}", "a b x", "a b c"), _result("tuned", f"q{index}", "a b x", "a b c")]
    entry = _metrics(results)["dispersion", "all", "en"]
    assert (entry["base"], entry["difference"], entry["low"], entry["high"]) == (None, None, None, None)


def test_facts_are_counted_over_the_items_that_have_any() -> None:
    answers = [("It costs 3 dollars.", "It costs 3 dollars, see the Dashboard."), ("Yes.", "Yes."), ("In 7 days.", "In 5 days.")]
    results = [
        _result(model, f"{place}-{turn}", prediction if model == "base" else reference, reference)
        for turn in range(5)
        for place, (prediction, reference) in enumerate(answers)
        for model in ("base", "tuned")
    ]
    found = _metrics(results)
    contained, exact = found["facts_contained", "all", "en"], found["facts_exact", "all", "en"]
    assert (contained["n"], exact["n"], found["rouge_l", "all", "en"]["n"]) == (10, 10, 15)
    assert (contained["base"], contained["tuned"]) == (pytest.approx(1 / 3), 1.0)
    assert (exact["base"], exact["tuned"]) == (0.0, 1.0)
    assert contained["low"] < contained["difference"] < contained["high"] or contained["low"] == contained["high"]


def test_answers_without_any_fact_have_no_fact_metrics() -> None:
    assert "facts_exact" not in {name for name, _, _ in _metrics(_both(["yes, of course you can"], count=10))}


def test_the_two_peers_treat_an_empty_answer_in_their_own_way() -> None:
    results = [
        _result(model, str(place), "" if place < 6 else "abcdef", "abcdef") for place in range(12) for model in ("base", "tuned")
    ]
    found = _metrics(results)
    assert found["bleu4_llama_factory", "all", "en"]["base"] == pytest.approx(50)
    assert found["bleu4_ms_swift", "all", "en"]["base"] == pytest.approx(100)


def test_slices_by_facet_add_up_and_are_corrected_by_holm() -> None:
    results = _both(ENGLISH, count=30)
    facets = {f"q{place}": {"topic": ["fees", "payout"][place % 2], "turns": "single"} for place in range(28)}
    entries = facet_metrics(results, facets, confidence=0.95, seed=0)
    assert {entry["facet"] for entry in entries} == {"topic"}, "a facet of one value says nothing new"
    assert {entry["name"] for entry in entries} == {metric.name for metric in METRICS if metric.by_facet}
    rouge = {entry["slice"]: entry for entry in entries if entry["name"] == "rouge_l"}
    assert {name: entry["n"] for name, entry in rouge.items()} == {"fees": 14, "payout": 14}
    assert all(entry["p"] <= entry["p_holm"] <= 1 for entry in entries)
    fees = [result for result in results if facets.get(result.item, {}).get("topic") == "fees"]
    alone = _metrics(fees)["rouge_l", "all", "en"]
    assert [rouge["fees"][key] for key in ("base", "tuned", "low", "high")] == [
        alone[key] for key in ("base", "tuned", "low", "high")
    ]


def test_few_items_carry_a_note() -> None:
    few, enough = _metrics(_both(ENGLISH, count=9)), _metrics(_both(ENGLISH, count=10))
    assert {entry.get("note") for entry in few.values()} == {"n below 10: shown without a verdict"}
    assert all(("note" in entry) == (entry["n"] < 10) for entry in enough.values())
    assert "note" not in enough["rouge_l", "all", "en"]


def test_order_of_results_does_not_matter_and_other_probes_are_ignored() -> None:
    results = _both(ENGLISH, count=10)
    other = Result("retention", "logic", "x", "x", "en", "base", "", "", "", {"correct": 1.0})
    assert corpus_metrics([other, *reversed(results)], confidence=0.95, seed=3) == corpus_metrics(results, confidence=0.95, seed=3)
    assert corpus_metrics([other], confidence=0.95, seed=0) == []


def test_an_item_of_one_model_only_is_an_error() -> None:
    with pytest.raises(DataError) as caught:
        corpus_metrics(_both(ENGLISH, count=3)[:-1], confidence=0.95, seed=0)
    assert caught.value.what == "items answered by one model only: 1, the first is ('seen', 'q2')"
    assert caught.value.where == "probe domain"


def test_nine_hundred_items_take_seconds() -> None:
    results = [result for variant in ("seen", "paraphrase", "unseen") for result in _both(ENGLISH, count=300, variant=variant)]
    started = time.perf_counter()
    corpus_metrics(results, confidence=0.95, seed=0)
    assert time.perf_counter() - started < 10
