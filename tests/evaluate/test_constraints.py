"""Each constraint: an answer that obeys it, one that does not, in both languages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewell.bundled import read_yaml
from tunewell.evaluate.constraints import follows

_KINDS = {kind["kind"]: kind for kind in read_yaml("probes", "constraints.yaml")}
_CASES = [
    ("at_most_words", "en", "It takes five days.", "It takes five days, and then it may take another five days if not."),
    ("at_most_words", "zh", "五个工作日到账。", "退款一般需要五到十个工作日才能回到顾客的银行卡上，请耐心等待。"),
    ("at_least_words", "en", "word " * 40, "word " * 39),
    ("at_least_words", "zh", "字" * 60, "字" * 59),
    ("one_sentence", "en", "It costs 1.2% of 10.00 each.", "It costs 1.2%. Look at Reports."),
    ("one_sentence", "zh", "手续费是1.2%。", "手续费是1.2%。请看报表。"),
    ("three_sentences", "en", "One. Two! Three?", "One. Two."),
    ("three_sentences", "zh", "一。二！三？", "一。二。三。四。"),
    ("start_with", "en", "Certainly, it does.", "It certainly does."),
    ("start_with", "zh", "您好，可以的。", "可以的，您好。"),
    ("end_with", "en", "Done. Have a nice day!", "Have a nice day. Done."),
    ("end_with", "zh", "可以的，祝您顺利。", "祝您顺利，可以的。"),
    ("include_word", "en", "We are happy to help.", "We are unhappy about it."),
    ("include_word", "zh", "请放心使用。", "请安心使用。"),
    ("avoid_you", "en", "Open your Dashboard.", "Yes, you can."),
    ("avoid_you", "zh", "可以在后台查看。", "您可以在后台查看。"),
    ("numbered_list", "en", "1. a\n2. b\n3. c", "1. a\n2. b"),
    ("numbered_list", "zh", "1、甲\n2、乙\n3、丙", "甲、乙、丙"),
    ("bullet_list", "en", "- a\n- b", "- a\n- b\n- c"),
    ("bullet_list", "zh", "• 甲\n• 乙", "甲\n乙"),
    ("json_object", "en", '{"answer": "five days"}', '{"reply": "five days"}'),
    ("json_object", "zh", '```json\n{"answer": "五天"}\n```', '答案：{"answer": "五天"}'),
    ("upper_case", "en", "FIVE DAYS, 10.", "FIVE days."),
    ("lower_case", "en", "five days.", "Five days."),
    ("no_comma", "en", "Five days and no more.", "Five days, no more."),
    ("no_comma", "zh", "五天到账。", "五天，到账。"),
    ("end_question", "en", 'Five days. Is that "fine?"', "Is that fine? Five days."),
    ("end_question", "zh", "五天到账，可以吗？", "可以吗？五天到账。"),
    ("in_quotes", "en", '"Five days."', 'He said "five days."'),
    ("in_quotes", "zh", "“五天到账。”", "“五天”到账。"),
]


@pytest.mark.parametrize(("kind", "language", "good", "bad"), _CASES)
def test_a_constraint_tells_good_from_bad(kind: str, language: str, good: str, bad: str) -> None:
    constraint = {"kind": kind, "check": _KINDS[kind]["check"], **_KINDS[kind][language]}
    assert follows(good, constraint)
    assert not follows(bad, constraint)
    assert not follows("  \n", constraint), "an empty answer obeys nothing"


def test_every_shipped_constraint_is_tested_in_its_languages() -> None:
    shipped = {(name, language) for name, kind in _KINDS.items() for language in ("en", "zh") if language in kind}
    assert shipped == {(kind, language) for kind, language, _, _ in _CASES}


@given(answer=st.text(max_size=80), kind=st.sampled_from(sorted(_KINDS)))
def test_no_answer_breaks_a_check(answer: str, kind: str) -> None:
    for language in ("en", "zh"):
        if language in _KINDS[kind]:
            assert follows(answer, {"kind": kind, "check": _KINDS[kind]["check"], **_KINDS[kind][language]}) in {True, False}
