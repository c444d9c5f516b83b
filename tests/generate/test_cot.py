"""`cot`: reasoning that reaches the known answer, which the teacher does not see."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.generate.from_rows import bundled_rows, material_of, outcome_of, row
from tests.generate.golden_rows import ANSWERS, fences
from tunewell.generate.tasks.cot import cot
from tunewell.records import Example, Message

_ASKED = row("A plan costs {12} a month and a user 4. What do two users on it pay?", "20", system="You know prices.")
_ZH = row("月费 12 元，每个用户再加 4 元，两个用户一共多少钱？", "每月一共 20 元。")
_COT = partial(cot, share=1.0, agreement=0.5)
_AT_ONCE = partial(cot, share=0.0, agreement=0.5)


def _answers(answer: str, reasoning: str = "4 + 4 = 8, 12 + 8 = 20", *, steps: bool = True) -> dict[str, Callable[[str], Any]]:
    return {
        "CotNeed": lambda text: {"reason": "one fact", "steps": steps},
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
        ("It arrives on day 5.", "It arrives on day 5 then.", "agreement"),
        ("It arrives on day 5.", "It arrives on day 6.", ""),
        ("It arrives on day 5.", "Day 5, unless the bank is closed, in which case nobody can tell you when that may be", ""),
        ("每月一共 20 元。", "每月一共 20 元", "equal"),
        ("每月一共 20 元。", "每月一共 21 元", ""),
    ],
)
def test_when_the_known_answer_is_reached(known: str, answer: str, how: str, tmp_path: Path) -> None:
    asked = row(_ASKED.question if known.isascii() or "€" in known else _ZH.question, known)
    outcome = outcome_of(_COT, material_of(tmp_path, [asked]), _answers(answer))
    (made,) = outcome.made
    assert made.example.evidence["verdicts"]["reached"] == how
    assert (made.reason, made.detail) == (("", "") if how else ("wrong_answer", f"reached: {answer}; known: {known}"))


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
    assert {skipped.reason for skipped in outcome.skipped} == {"no_steps"}
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
