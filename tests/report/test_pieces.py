"""The pure pieces of the report, without files."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Indel

from tunewell.records import Dropped, Example, Message, Origin, Result
from tunewell.report.diff import word_diff
from tunewell.report.facts import _one_of_each_reason
from tunewell.report.probe_charts import slice_bars
from tunewell.report.run_charts import difference_histogram, loss_curve
from tunewell.report.slices import clip, leaks, mean_of, new_questions, pairs, slice_means, won_and_lost
from tunewell.report.words import decimals, number, places, read_words
from tunewell.text import tokens

WORDS = read_words("en")
TEXTS = st.text(alphabet="ab AB.,\n退款é<>", max_size=40)


def result(model: Any, *, variant: str = "unseen", item: str = "1", probe: str = "domain", **measures: float) -> Result:
    return Result(probe, variant, item, f"family {item}", "en", model, "question", "reference", f"said by {model}", measures)


def domain(scores: dict[str, tuple[float, float]], variant: str = "unseen") -> list[Result]:
    return [
        result(model, item=item, variant=variant, rouge_l=score)
        for item, both in scores.items()
        for model, score in zip(("base", "tuned"), both, strict=True)
    ]


@given(TEXTS, TEXTS)
def test_diff_keeps_both_texts_and_aligns_as_rouge_l_does(left: str, right: str) -> None:
    diff = word_diff(left, right)
    assert "".join(span.text for span in diff.left) == left
    assert "".join(span.text for span in diff.right) == right
    shared = [[token for span in side if span.shared for token in tokens(span.text)] for side in diff]
    assert shared[0] == shared[1]
    assert len(shared[0]) == (len(tokens(left)) + len(tokens(right)) - Indel.distance(tokens(left), tokens(right))) // 2


def test_diff_highlights_words_not_punctuation() -> None:
    assert [span.text for span in word_diff("Fees: 2 %.", "No fees. 2 %.").right if span.shared] == ["fees. 2"]
    assert not any(span.shared for span in word_diff("a.", "b.").right)


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=15))
def test_won_and_lost_are_the_extremes(scores: dict[str, tuple[float, float]]) -> None:
    examples = won_and_lost(pairs(domain(scores), "domain"))
    changes = sorted((tuned - base for base, tuned in scores.values()), reverse=True)
    assert [example.difference for example in examples.won] == [change for change in changes if change > 0][:5]
    assert [example.difference for example in examples.lost] == [change for change in changes[::-1] if change < 0][:5]


def test_examples_are_new_questions_where_there_are_any() -> None:
    seen, unseen = domain({"1": (0.1, 0.9)}, "seen"), domain({"2": (0.1, 0.4)})
    assert [pair.tuned.item for pair in new_questions(pairs([*seen, *unseen], "domain"))] == ["2"]
    assert [pair.tuned.item for pair in new_questions(pairs(seen, "domain"))] == ["1"]


def test_an_item_with_one_answer_makes_no_pair() -> None:
    assert pairs([result("base", rouge_l=0.1)], "domain") == []


def test_leaks_take_one_of_each_slice_first_and_those_the_base_model_has_not() -> None:
    def leak(item: str, variant: str, *, tuned: float, base: float = 0.0, sure: float = 0.9) -> list[Result]:
        return [
            result(model, item=item, variant=variant, probe="leakage", leak=leaked, domain_probability=sure)
            for model, leaked in (("base", base), ("tuned", tuned))
        ]

    results = [
        *leak("base leaks too", "general", tuned=1, base=1, sure=0.99),
        *leak("less sure", "general", tuned=1, sure=0.7),
        *leak("surest", "general", tuned=1, sure=0.95),
        *leak("no leak", "near_miss", tuned=0),
        *leak("near", "near_miss", tuned=1, sure=0.6),
    ]
    assert [pair.tuned.item for pair in leaks(results)] == ["surest", "near"]
    assert [pair.tuned.item for pair in leaks(results, most=4)] == ["surest", "near", "less sure", "base leaks too"]
    assert leaks([]) == []


def test_means_are_of_one_slice_and_model() -> None:
    results = [*domain({"1": (0.2, 0.6), "2": (0.4, 1.0)}), *domain({"3": (0.0, 0.0)}, "seen")]
    means = mean_of(results, "domain", "rouge_l", variant="unseen", confidence=0.95)
    assert means["base"].value == pytest.approx(0.3)
    assert means["tuned"].value == pytest.approx(0.8)
    assert means["tuned"].n == 2
    assert mean_of(results, "retention", "probability", confidence=0.95) == {}


def test_dropped_rows_show_each_reason_first() -> None:
    def dropped(question: str, reason: str) -> Dropped:
        return Dropped(Example((Message("user", question),), "domain", Origin("a.csv", 1)), reason)

    rows = [dropped("1", "novelty"), dropped("2", "novelty"), dropped("3", "empty"), dropped("4", "novelty")]
    assert [row.example.question for row in _one_of_each_reason(rows)] == ["1", "3", "2", "4"]
    assert len(_one_of_each_reason([dropped(str(place), f"rule {place}") for place in range(9)])) == 5


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 1500), st.randoms(use_true_random=False))
def test_loss_curve_is_thinned_and_keeps_its_mean(steps: int, draw: Random) -> None:
    losses = [draw.uniform(0.1, 5) for _ in range(steps)]
    log = [{"step": step, "epoch": step / 10, "loss": loss, "learning_rate": 1e-4} for step, loss in enumerate(losses, start=1)]
    spec = loss_curve(log, WORDS)
    assert spec is not None
    (points,) = spec["datasets"].values()
    assert len(points) <= 400
    assert points[-1]["step"] == len(losses)
    assert min(losses) - 1e-6 <= min(point["smooth"] for point in points)
    assert max(point["smooth"] for point in points) <= max(losses) + 1e-6


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=60))
def test_histogram_counts_every_item_on_its_side(changes: list[float]) -> None:
    spec = difference_histogram(changes, WORDS)
    assert spec is not None
    (bins,) = spec["datasets"].values()
    assert sum(bin_["items"] for bin_ in bins) == len(changes)
    assert sum(bin_["items"] for bin_ in bins if bin_["side"] == "lost") == sum(change < 0 for change in changes)


def test_bars_of_few_items_have_no_interval() -> None:
    many = [result(model, item=str(item), followed=item % 2) for item in range(10) for model in ("base", "tuned")]
    few = [result(model, item=str(item), variant="seen", followed=1) for item in range(9) for model in ("base", "tuned")]
    means = slice_means([*many, *few], "domain", "followed", confidence=0.95)
    spec = slice_bars(means, WORDS, measure="share", label=lambda mean: mean.variant, percent=True)
    assert spec is not None
    (bars,) = spec["datasets"].values()
    assert {bar["slice"]: (bar["value"], bar["low"] is None, bar["high"] is None) for bar in bars} == {
        "unseen": (0.5, False, False),
        "seen": (1.0, True, True),
    }
    assert all(0 <= bar["low"] <= bar["high"] <= 1 for bar in bars if bar["low"] is not None)


def test_rows_on_a_scale_of_100_have_one_decimal() -> None:
    assert places({"unit": "points of 100", "base": 0.5, "tuned": 9.4}) == 1
    assert places({"unit": "points of 1", "base": None, "tuned": 0.4}) == 3


def test_charts_without_data_are_left_out() -> None:
    assert loss_curve([], WORDS) is None
    assert difference_histogram([], WORDS) is None


@given(st.floats(-1e6, 1e6))
def test_numbers_read_back(value: float) -> None:
    digits = decimals(value)
    text = number(value, digits, signed=True).replace("−", "-").replace(",", "")
    assert float(text) == pytest.approx(value, abs=0.51 * 10**-digits)
    assert text != "-0.000"


def test_long_texts_are_cut() -> None:
    assert clip("x" * 1200) == "x" * 1200
    assert clip("x" * 1201) == "x" * 1200 + " …"
