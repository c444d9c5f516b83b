"""Each kind of constraint in each language: answers that follow it, near misses that do not, and what a lenient reader forgives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evaluate import constraint_answers_en, constraint_answers_zh
from tunewell.bundled import read_yaml
from tunewell.evaluate.constraints import Constraint, Followed, constraint_measures, follow_each, follows, follows_loosely

_ANSWERS = {"en": constraint_answers_en.ANSWERS, "zh": constraint_answers_zh.ANSWERS}
_SHIPPED = {
    (kind["kind"], language): {"kind": kind["kind"], "check": kind["check"], **kind[language]}
    for kind in read_yaml("probes", "constraints.yaml")["kinds"]
    for language in ("en", "zh")
    if language in kind
}
_KEYS = sorted(_SHIPPED)
_GOOD = [answer for answers in _ANSWERS.values() for good, _ in answers.values() for answer in good]


def _constraints(language: str, *kinds: str) -> list[Constraint]:
    return [_SHIPPED[kind, language] for kind in kinds]


@pytest.mark.parametrize(("kind", "language"), _KEYS)
def test_a_constraint_tells_good_from_bad(kind: str, language: str) -> None:
    good, bad = _ANSWERS[language][kind]
    constraint = _SHIPPED[kind, language]
    assert [answer for answer in good if not follows(answer, constraint)] == []
    assert [answer for answer in bad if follows(answer, constraint)] == []
    assert not follows("  \n", constraint), "an empty answer obeys nothing"
    assert not follows_loosely("  \n", constraint)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_shipped_kind_is_tested_with_two_answers_of_each_sort(language: str) -> None:
    answers = _ANSWERS[language]
    assert {kind for kind, code in _KEYS if code == language} == set(answers)
    assert len(answers) >= 25
    assert min(len(set(answers[kind][sort])) for kind in answers for sort in (0, 1)) >= 2


def test_a_chinese_length_counts_han_characters_and_latin_words() -> None:
    limit = {"kind": "at_most_words", "check": "words", "most": 6}
    assert follows("请在 Dashboard 查看 1.5%。", limit)
    assert not follows("请在 Dashboard 再查看 1.5%。", limit)


@pytest.mark.parametrize(
    ("kind", "language", "answer"),
    [
        ("json_object", "en", 'Here it is:\n{"answer": "five days"}'),
        ("json_object", "zh", '{"answer": "五天"}\n希望对您有帮助。'),
        ("table", "en", "See:\n| a | b |\n|---|---|\n| c | d |\nThat is all."),
        ("start_with", "en", "**Certainly**, it does."),
        ("start_with", "zh", "回答：\n您好，可以的。"),
        ("numbered_list", "zh", "**1. 甲**\n**2. 乙**\n**3. 丙**"),
        ("in_quotes", "zh", "__“五天到账。”__"),
        ("postscript", "en", "Five days.\n*P.S. It is free.*"),
    ],
)
def test_first_line_last_line_and_emphasis_are_forgiven_loosely_only(kind: str, language: str, answer: str) -> None:
    assert not follows(answer, _SHIPPED[kind, language])
    assert follows_loosely(answer, _SHIPPED[kind, language])


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("json_object", 'Of course.\nHere it is:\n{"answer": 5}'),
        ("numbered_list", "1. a\n2. b\n3. c\n4. d\n5. e"),
        ("no_comma", "a, b\nc, d\ne, f"),
        ("start_with", "Yes, __Certainly__"),
    ],
)
def test_nothing_else_is_forgiven(kind: str, answer: str) -> None:
    assert not follows_loosely(answer, _SHIPPED[kind, "en"])


def test_a_name_with_underscores_is_not_emphasis() -> None:
    code = {"kind": "name", "check": "contains", "part": "pay_by_card"}
    assert follows_loosely("Look at pay_by_card", code)
    assert not follows_loosely("Look at pay_by_card", {**code, "part": "paybycard"})


def test_several_constraints_are_judged_one_by_one() -> None:
    constraints = _constraints("en", "no_comma", "json_object", "upper_case")
    assert follow_each('Here:\n{"answer": "five days"}', constraints) == [
        Followed("no_comma", strict=True, loose=True),
        Followed("json_object", strict=False, loose=True),
        Followed("upper_case", strict=False, loose=False),
    ]


def test_measures_are_of_all_and_of_each() -> None:
    constraints = _constraints("en", "no_comma", "json_object")
    assert constraint_measures('{"answer": 5}', constraints) == {
        "followed": 1.0,
        "loose": 1.0,
        "strict/no_comma": 1.0,
        "loose/no_comma": 1.0,
        "strict/json_object": 1.0,
        "loose/json_object": 1.0,
    }
    nearly = constraint_measures('Here:\n{"answer": 5}', constraints)
    assert (nearly["followed"], nearly["loose"], nearly["strict/no_comma"], nearly["strict/json_object"]) == (0.0, 1.0, 1.0, 0.0)
    assert constraint_measures("5, I think", constraints)["loose"] == 0.0


@given(answer=st.one_of(st.text(max_size=80), st.text("*_#1.ab \n,，。？“”、一", max_size=40), st.sampled_from(_GOOD)))
def test_what_follows_strictly_follows_loosely_and_nothing_breaks_a_check(answer: str) -> None:
    for one in follow_each(answer, list(_SHIPPED.values())):
        assert one.loose >= one.strict, one.kind


@given(answer=st.sampled_from(_GOOD), space=st.sampled_from([" ", "\n", "\n\n", "\t"]))
def test_space_around_an_answer_changes_nothing(answer: str, space: str) -> None:
    constraints = list(_SHIPPED.values())
    assert [follows(space + answer + space, one) for one in constraints] == [follows(answer, one) for one in constraints]
