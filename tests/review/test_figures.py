"""The error rate of a sample, the agreement of reviewers, and how both are said."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from tests.review.conftest import build_run, kept_rows
from tests.review.test_decisions import judgement, record
from tunewell.review import Places, Sample, agreement, best_known, error_rate, state_of_review, summary_of_review
from tunewell.review.figures import percent
from tunewell.review.rows import read_rows, sampled
from tunewell.store import Verdict


def places(run: Path) -> Places:
    return Places(run / "2-generate", run / "1-collect", run / "review")


@given(st.lists(st.sampled_from(["accept", "mend", "reject"]), max_size=60), st.integers(0, 9))
def test_error_rate_counts_what_was_rejected_or_mended_in_the_order_of_the_draw(verdicts: list[Verdict], unjudged: int) -> None:
    drawn = [f"row-{number}" for number in range(len(verdicts) + unjudged)]
    judgements = {"ann": {row: judgement(row, verdict) for row, verdict in zip(drawn, verdicts, strict=False)}}
    rate = error_rate(judgements, drawn, 4000)
    wrong = sum(verdict != "accept" for verdict in verdicts)
    assert (rate.wrong, rate.n, rate.population) == (wrong, len(verdicts), 4000)
    if not verdicts:
        assert (rate.value, rate.low, rate.high) == (None, None, None)
        return
    expected = binomtest(wrong, len(verdicts)).proportion_ci(0.95, method="exact")
    assert (rate.low, rate.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_rows_judged_out_of_turn_say_nothing_about_the_rest() -> None:
    ann = {row: judgement(row, "reject") for row in ("a", "c", "d", "x")}
    assert error_rate({"ann": ann}, ["a", "b", "c", "d"], 100).n == 1
    bob = {"b": judgement("b", "accept", "bob")}
    assert error_rate({"ann": ann, "bob": bob}, ["a", "b", "c", "d"], 100).wrong == 3


def test_a_row_that_several_judged_counts_by_the_share_who_found_it_wrong() -> None:
    ann = {row: judgement(row, "reject" if row in "ab" else "accept") for row in "abcdefgh"}
    bob = {row: judgement(row, "mend" if row in "ac" else "accept", "bob") for row in "abcd"}
    cy = {"x": judgement("x", "reject", "cy")}
    rate = error_rate({"ann": ann, "bob": bob, "cy": cy}, list("abcdefghi"), 100)
    # a: both; b and c: one of two.
    assert (rate.wrong, rate.n, rate.value, rate.reviewers) == (2.0, 8, 0.25, 2)
    odd = error_rate({"ann": ann, "bob": {row: bob[row] for row in "ab"}}, list("abcdefgh"), 100)
    low, high = (binomtest(wrong, 8).proportion_ci(0.95, method="exact") for wrong in (1, 2))
    assert odd.wrong == 1.5
    assert (odd.low, odd.high) == pytest.approx((low.low, high.high), abs=1e-9)


@given(st.data())
def test_more_reviewers_who_say_the_same_change_nothing(data: st.DataObject) -> None:
    rows = [f"row-{number}" for number in range(data.draw(st.integers(1, 20)))]
    ann = {row: judgement(row, data.draw(st.sampled_from(["accept", "reject"]))) for row in rows}
    alone, together = (error_rate(dict.fromkeys(names, ann), rows, 900) for names in (["ann"], ["ann", "bob", "cy"]))
    assert (alone.value, alone.low, alone.high) == (together.value, together.low, together.high)


def test_where_every_row_is_judged_nothing_is_estimated() -> None:
    judgements = {"ann": {row: judgement(row, "accept" if row == "a" else "mend") for row in "abcd"}}
    rate = error_rate(judgements, list("abcd"), 4)
    assert (rate.value, rate.low, rate.high) == (0.75, 0.75, 0.75)


@given(low=st.floats(0, 1), width=st.floats(0, 1))
def test_percentages_never_shrink_an_interval(low: float, width: float) -> None:
    high = min(1.0, low + width)
    first, _, last = percent(low, high).removesuffix(" %").partition("–")
    if last:
        assert float(first) <= 100 * low + 1e-5
        assert float(last) >= 100 * high - 1e-5


def test_the_sample_is_the_same_for_everyone_and_a_larger_one_begins_with_it(run_folder: Path) -> None:
    rows = read_rows(run_folder / "2-generate")
    small, large = sampled(rows, 5, 0), sampled(rows, 24, 0)
    assert len(small) == 5
    assert small.ids == large.ids[:5]
    assert sorted(large.ids) == sorted(row.id for row in kept_rows()), "none of the rejected rows is drawn"
    assert sampled(rows, 5, 1).ids != small.ids
    assert len(sampled(rows, 99, 0)) == 24
    assert small.population == 24


def test_the_draw_favours_no_row(tmp_path: Path) -> None:
    rows = read_rows(build_run(tmp_path) / "2-generate")
    drawn = [row for seed in range(400) for row in sampled(rows, 6, seed).ids]
    # Each of 24 rows is drawn with probability 1/4: 100 times, with a standard deviation below 9.
    assert all(60 < drawn.count(row) < 140 for row in rows.ids[:24])


def test_state_and_sentences_of_a_sample(run_folder: Path) -> None:
    drawn = sampled(read_rows(run_folder / "2-generate"), 10, 7).ids
    verdicts: list[Verdict] = ["accept", "reject", "accept", "mend", "accept", "accept", "accept", "accept"]
    record(run_folder / "review", *(judgement(row, verdict) for row, verdict in zip(drawn, verdicts, strict=False)))
    state = state_of_review(places(run_folder), Sample(10, 7))
    ends = binomtest(2, 8).proportion_ci(0.95, method="exact")
    assert state["error_rate"] == {
        "value": 0.25, "low": pytest.approx(ends.low), "high": pytest.approx(ends.high), "wrong": 2, "n": 8, "population": 24,
        "reviewers": 1,
    }  # fmt: skip
    assert {key: state[key] for key in ("rows", "judged", "accepted", "mended", "rejected", "kappa")} == {
        "rows": 10, "judged": 8, "accepted": 6, "mended": 1, "rejected": 1, "kappa": None,
    }  # fmt: skip
    assert summary_of_review(places(run_folder), Sample(10, 7), language="en") == [
        "reviewed 8 of 10: 6 accepted, 1 mended, 1 rejected",
        "reviewed 8 of 24, error rate 3–66 % (2 of 8 rejected or mended; exact 95 % interval)",
    ]
    assert summary_of_review(places(run_folder), Sample(10, 7), language="zh")[1] == (
        "已审 24 条中的 8 条，错误率 3–66 %（8 条中拒绝或修改 2 条；95 % 精确区间）"
    )


def test_two_reviewers_are_named_beside_their_mean(run_folder: Path) -> None:
    drawn = sampled(read_rows(run_folder / "2-generate"), 4, 7).ids
    record(run_folder / "review", *(judgement(row, "accept") for row in drawn), judgement(drawn[0], "reject", "bob"))
    said = [summary_of_review(places(run_folder), Sample(4, 7), language=language)[1] for language in ("en", "zh")]
    assert said == [
        "reviewed 4 of 24, error rate 0–81 % (0.5 of 4 rejected or mended, mean of 2 reviewers; 95 % interval)",
        "已审 24 条中的 4 条，错误率 0–81 %（4 条中拒绝或修改 0.5 条，取 2 位审核人的平均；95 % 区间）",
    ]


def test_the_best_known_sample_is_the_one_with_the_most_judged_rows(run_folder: Path) -> None:
    drawn = sampled(read_rows(run_folder / "2-generate"), 10, 7).ids
    record(run_folder / "review", *(judgement(row, "accept") for row in drawn))
    small, large, other = Sample(3, 7), Sample(10, 7), Sample(10, 8)
    for samples in ([small, large, other], [large, small]):
        best = best_known(places(run_folder), samples)
        assert best is not None
        assert (best["n"], best["size"], best["seed"], best["population"]) == (10, 10, 7, 24)
    record(run_folder / "review", *(judgement(row, "undo") for row in drawn))
    assert best_known(places(run_folder), [small, large]) is None


def test_no_error_rate_is_claimed_without_a_sample(run_folder: Path) -> None:
    record(run_folder / "review", *(judgement(row, "accept") for row in read_rows(run_folder / "2-generate").ids[:20]))
    assert state_of_review(places(run_folder))["error_rate"] is None
    assert summary_of_review(places(run_folder), language="en") == ["reviewed 20 of 24: 20 accepted, 0 mended, 0 rejected"]
    fresh = Sample(3, 123)
    assert "error rate not known yet" in summary_of_review(places(build_run(run_folder.parent / "b")), fresh, language="en")[1]


def test_agreement_is_of_rows_that_both_judged_and_the_largest_pair_comes_first(tmp_path: Path) -> None:
    record(tmp_path, *(judgement(row, "accept") for row in "abcdef"), judgement("g", "reject"))
    record(
        tmp_path,
        *(judgement(row, "accept", "bob") for row in "abcd"),
        judgement("g", "reject", "bob"),
        judgement("x", "mend", "bob"),
    )
    record(tmp_path, judgement("a", "accept", "cy"), judgement("b", "undo", "cy"), judgement("g", "accept", "cy"))
    first, second, third = agreement(tmp_path)
    assert (first.reviewers, first.agreed, first.n, first.value) == (("ann", "bob"), 5, 5, 1.0)
    assert first.low is not None
    assert first.low < 0.4, "five rows prove little"
    assert (second.reviewers, second.agreed, second.n) == (("ann", "cy"), 1, 2)
    assert second.value == 0
    assert third.reviewers == ("bob", "cy")


def test_agreement_where_all_verdicts_are_the_same_is_undefined_and_said_so(run_folder: Path) -> None:
    ids = read_rows(run_folder / "2-generate").ids[:3]
    record(run_folder / "review", *(judgement(row, "accept", reviewer) for row in ids for reviewer in ("ann", "bob")))
    (pair,) = agreement(run_folder / "review")
    assert (pair.agreed, pair.n, pair.value, pair.low, pair.high) == (3, 3, None, None, None)
    assert summary_of_review(places(run_folder), language="en")[-1] == (
        "ann and bob agree on 3 of 3: κ is undefined, since all verdicts are the same"
    )
    record(run_folder / "review", judgement(ids[0], "reject", "bob"), judgement(ids[0], "reject", "ann"))
    assert summary_of_review(places(run_folder), language="en")[-1].startswith(
        "ann and bob agree on 3 of 3: Cohen’s κ 1.00 (95 % interval −"
    )
