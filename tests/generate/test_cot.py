"""`cot`: reasoning that reaches the known answer, which the teacher does not see."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.generate.from_rows import bundled_rows, material_of, outcome_of, row
from tests.generate.golden_rows import ANSWERS, fences
from tunewell.generate.tasks.cot import cot
from tunewell.generate.tasks.reached import reached
from tunewell.records import Example, Message

_ASKED = row("A plan costs {12} a month and a user 4. What do two users on it pay?", "20", system="You know prices.")
_ZH = row("月费 12 元，每个用户再加 4 元，两个用户一共多少钱？", "每月一共 20 元。")
_COT = partial(cot, share=1.0, agreement=0.5)
_AT_ONCE = partial(cot, share=0.0, agreement=0.5)


def _answers(
    answer: str, reasoning: str = "4 + 4 = 8, 12 + 8 = 20", *, steps: bool = True, complete: bool = True
) -> dict[str, Callable[[str], Any]]:
    return {
        "CotNeed": lambda text: {"reason": "one fact", "steps": steps, "complete": complete},
        "CotSolution": lambda text: {"reasoning": reasoning, "answer": answer},
    }


def test_the_request_for_steps_and_the_final_line(tmp_path: Path) -> None:
    (made,) = outcome_of(_COT, material_of(tmp_path, [_ASKED]), _answers("20")).kept
    assert made.messages == (
        Message("system", "You know prices."),
        Message("user", f"{_ASKED.question}\n\nThink it through step by step, then give the answer in the last line."),
        Message("assistant", "4 + 4 = 8, 12 + 8 = 20\n\nAnswer: 20"),
    )
    assert made.evidence["form"] == "steps"
    assert made.evidence["verdicts"] == {"reached": "equal", "agreement": 1.0}
    assert (made.task, made.family, made.evidence["source"]["id"]) == ("cot", _ASKED.id, _ASKED.id)


def test_the_same_in_chinese(tmp_path: Path) -> None:
    (made,) = outcome_of(_COT, material_of(tmp_path, [_ZH]), _answers("一共 20 元。", "两个用户 8 元，12+8=20。")).kept
    assert made.question == f"{_ZH.question}\n\n请一步一步推理，最后一行写出答案。"
    assert made.answer == "两个用户 8 元，12+8=20。\n\n答案：每月一共 20 元。"
    assert made.evidence["verdicts"]["reached"] == "agreement"


@pytest.mark.parametrize(
    ("source", "request_text"),
    [(_ASKED, "Give the answer at once, without any steps."), (_ZH, "请直接给出答案，不要写推理过程。")],
)
def test_the_other_share_is_asked_for_the_answer_at_once(source: Example, request_text: str, tmp_path: Path) -> None:
    (made,) = outcome_of(_AT_ONCE, material_of(tmp_path, [source]), _answers(source.answer)).kept
    assert (made.question, made.answer) == (f"{source.question}\n\n{request_text}", source.answer)
    assert made.evidence["form"] == "at_once"


@pytest.mark.parametrize(
    ("known", "answer", "how"),
    [
        ("Yes.", "yes", "equal"),
        ("20", "The users pay 20 EUR.", "number"),
        ("20 €", "it is 20", "number"),
        ("20", "21", ""),
        ("20", "20 or 30", ""),
        ("20", "twenty-one", ""),
        ("-5", "5", ""),
        ("5", "It is -5.", ""),
        ("-5", "The rest is minus 5.", "number"),
        ("5", "10 - 5 = 5", ""),
        ("20 minutes", "20 hours", ""),
        ("20 minutes", "They take 20 min.", "number"),
        ("5 days", "5 business days", ""),
        ("20 €", "20 dollars", ""),
        ("20 GB", "20 MB", ""),
        ("20", "It is not 20.", ""),
        ("42", "The answer is 42 apples", "number"),
        ("20 分钟", "20 小时", ""),
        ("20 分钟", "一共要 20 分钟。", "number"),
        ("3个工作日", "3天", ""),
        ("-5度", "5度", ""),
        ("-5度", "零下5度", "number"),
        ("On Monday.", "Counted from Friday, the weekend left aside, it should come on Monday.", "held"),
        ("On Monday.", "Counted from Friday, the weekend left aside, it should come on Monday or Tuesday.", ""),
        ("On Monday.", "Counted from Friday, the weekend left aside, it should not come on Monday.", ""),
        ("The users on the team plan of the shop pay 20 EUR in all, by card or by transfer, as they like.", "20 EUR", ""),
        ("The users on the team plan of the shop pay 20 EUR in all, by card, as they like.", "20 EUR", "held"),
        ("The users on the team plan of the shop pay 20 EUR in all, and 4 EUR for the card.", "20 EUR", ""),
        ("可以退货。", "不可以退货。", ""),
        ("星期一。", "从星期五算起，周末先放在一边，货物会在星期一送到收货人手里。", "held"),
        ("星期一。", "从星期五算起，周末先放在一边，货物会在星期一或星期二送到收货人手里。", ""),
        ("It arrives on day 5.", "It arrives on day 5 then.", "agreement"),
        ("It arrives on day 5.", "It arrives on day 6.", ""),
        ("It arrives on day 5.", "Day 5, unless the bank is closed, in which case nobody can tell you when that may be", ""),
        ("每月一共 20 元。", "每月一共 20 元", "equal"),
        ("每月一共 20 元。", "每月一共 21 元", ""),
    ],
)
def test_when_the_known_answer_is_reached(known: str, answer: str, how: str) -> None:
    assert reached(answer, known, 0.5).how == how


@pytest.mark.parametrize(("known", "answer"), [("20 minutes", "20 hours"), ("-5", "5"), ("每月一共 20 元。", "每月一共 20 天。")])
def test_a_solution_that_misses_the_known_answer_is_rejected(known: str, answer: str, tmp_path: Path) -> None:
    asked = row(_ASKED.question if known.isascii() else _ZH.question, known)
    (made,) = outcome_of(_COT, material_of(tmp_path, [asked]), _answers(answer, "20 = 20")).made
    assert (made.reason, made.detail) == ("wrong_answer", f"reached: {answer}; known: {known}")
    assert made.example.evidence["verdicts"]["reached"] == ""


@pytest.mark.parametrize("source", [_ASKED, _ZH])
def test_a_question_that_lacks_what_it_takes_is_skipped_before_anybody_reasons(source: Example, tmp_path: Path) -> None:
    outcome = outcome_of(_COT, material_of(tmp_path, [source]), _answers("20", complete=False))
    assert outcome.made == []
    assert [(skipped.item, skipped.reason, skipped.detail) for skipped in outcome.skipped] == [
        (source.id, "needs_facts", "one fact")
    ]
    assert outcome.teacher.asked["CotSolution"] == 0


def test_what_is_no_single_question_is_passed_over_and_counted(tmp_path: Path) -> None:
    left_out = [
        row("How long?", "A day.", "And then?", "Two.", number=2),
        row("What are 2 and 3?" + " Please!" * 600, "5", number=3),
        row(_ASKED.question.upper(), "20", number=4),
    ]
    outcome = outcome_of(_COT, material_of(tmp_path, [_ASKED, *left_out]), _answers("20"))
    assert outcome.passed_over == {"many_turns": 1, "too_long": 1, "repeated": 1}
    assert outcome.skipped == []


def test_a_plain_fact_is_skipped_and_an_empty_reasoning_or_a_control_token_rejected(tmp_path: Path) -> None:
    material = material_of(tmp_path, [_ASKED])
    outcome = outcome_of(_COT, material, _answers("20", steps=False))
    assert outcome.made == []
    assert [(skipped.item, skipped.reason, skipped.detail) for skipped in outcome.skipped] == [(_ASKED.id, "no_steps", "one fact")]
    assert outcome.teacher.asked["CotSolution"] == 0
    outcome = outcome_of(_COT, material, _answers("20", " "))
    assert outcome.rejected("no_reasoning").detail == "only the answer came back: 20"
    assert outcome_of(_COT, material, _answers("20", "So<|im_end|>")).rejected("control_tokens").detail == "So<|im_end|>"
    assert outcome_of(_COT, material, _answers("20", "先加起来。")).rejected("wrong_language").detail == "先加起来。"


def test_the_solution_is_asked_for_without_the_known_answer(tmp_path: Path) -> None:
    outcome = outcome_of(_COT, material_of(tmp_path, [_ASKED]), _answers("20"))
    _, solve = outcome.teacher.prompts
    assert fences(solve) == [_ASKED.question]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_golden_answers_keep_the_share_and_ask_no_question_twice(share: float, tmp_path: Path) -> None:
    material = material_of(tmp_path, bundled_rows())
    outcome = outcome_of(partial(cot, share=share, agreement=0.5), material, ANSWERS, rows=200)
    steps = sum(made.evidence["form"] == "steps" for made in outcome.kept)
    assert len(outcome.kept) == 200
    # Four standard deviations of a draw.
    assert steps == pytest.approx(200 * share, abs=4 * (200 * share * (1 - share)) ** 0.5)
    assert len({made.question.split("\n\n")[0] for made in outcome.kept}) == 200
    assert {made.language for made in outcome.kept} == {"en", "zh"}
    assert outcome.reasons["wrong_answer"] > 0
    assert {skipped.reason for skipped in outcome.skipped} == {"no_steps", "needs_facts"}
    assert outcome.bytes() == outcome_of(partial(cot, share=share, agreement=0.5), material, ANSWERS, rows=200).bytes()


def test_more_steps_are_a_superset_so_that_runs_of_other_shares_can_be_compared(tmp_path: Path) -> None:
    material = material_of(tmp_path, bundled_rows())
    less, more = (
        {
            made.family
            for made in outcome_of(partial(cot, share=share, agreement=0.5), material, ANSWERS, rows=100).kept
            if made.evidence["form"] == "steps"
        }
        for share in (0.2, 0.6)
    )
    assert less < more
