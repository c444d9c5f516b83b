"""Numbers and names of answers, and the BLEU-4 of other tools."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU

from tunewell.evaluate.facts import check_facts, facts_of
from tunewell.evaluate.peers import character_bleu4


@pytest.mark.parametrize(
    ("text", "numbers", "names"),
    [
        ("The fee is 1.40 % or 1,250 pounds.", {"1.4", "1250"}, set()),
        ("Open Payouts in the Dashboard at 10:30.", {"10", "30"}, {"payouts", "dashboard"}),
        ("Call 0800 555 0142 on Monday.", {"0800", "555", "0142"}, {"monday"}),
        ("Yes. Then I'll wait.", set(), set()),
        ("在“提现”页面查看 API 文档，需要 3 个工作日。", {"3"}, {"提现", "api"}),
        (
            "写信到 help@larkspurpay.example，或访问 https://a.example/x。",
            set(),
            {"help@larkspurpay.example", "https://a.example/x"},
        ),
        ("", set(), set()),
    ],
)
def test_facts_of_a_text(text: str, numbers: set[str], names: set[str]) -> None:
    found = facts_of(text)
    assert (set(found.numbers), set(found.names)) == (numbers, names)


@pytest.mark.parametrize(
    ("answer", "reference", "contained", "exact"),
    [
        ("Three business days.", "It takes 3 business days.", 1, True),
        ("需要三个工作日。", "需要 3 个工作日。", 1, True),
        ("需要十五天。", "要15天", 1, True),
        ("二十五元", "25元", 1, True),
        ("It takes 3 days, or 5.", "It takes 3 days.", 1, False),
        ("It takes 30 days.", "It takes 3 days.", 0, False),
        ("see the dashboard", "Look in the Dashboard.", 1, True),
        ("see the dashboards", "Look in the Dashboard.", 0, False),
        ("", "In 3 days.", 0, False),
    ],
)
def test_facts_of_the_reference_are_looked_for(answer: str, reference: str, contained: int, exact: bool) -> None:
    found = check_facts(answer, reference, "How long?")
    assert (found.total, found.contained, found.exact) == (1, contained, exact)


def test_a_number_of_the_question_is_not_the_answers_own() -> None:
    assert check_facts("For 200 pounds it takes 3 days.", "It takes 3 days.", "How long for 200 pounds?").exact


@given(st.text(max_size=80))
def test_a_text_holds_all_its_own_facts(text: str) -> None:
    found = check_facts(text, text, "")
    assert found.contained == found.total
    assert found.exact == (found.total > 0)


@given(st.text("abcde退款", min_size=4, max_size=20), st.text("abcde退款", min_size=1, max_size=20))
def test_the_peers_bleu4_is_sacrebleu_over_characters(prediction: str, reference: str) -> None:
    assume(set(prediction) & set(reference))
    expected = BLEU(tokenize="none", smooth_method="exp", effective_order=False).corpus_score(
        [" ".join(prediction)], [[" ".join(reference)]]
    )
    assert character_bleu4(prediction, reference) == pytest.approx(expected.score)


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [("ab", "ab", 100 * (1 / 2 * 1 / 4) ** 0.25), ("xyz", "abc", 0.0), ("", "abc", 0.0), ("abc", "", 0.0)],
)
def test_short_texts_are_smoothed_as_nltk_does(prediction: str, reference: str, expected: float) -> None:
    assert character_bleu4(prediction, reference) == pytest.approx(expected)
