"""Rows that a teacher made from others: they take the place of a log's, and are not taken for copies of what they descend from."""

from pathlib import Path

import pytest

from tests.clean.test_reviewed import clean, judge
from tests.clean.test_rules import example
from tunewell.records import BORROWED_TASKS, Example, Message, Origin

LOG = example("When does my payout come", "hi, one sec... it comes at noon, ok?", origin=Origin("log.jsonl", 7))
OTHER = example("How do I add a cashier", "Under Team, choose Add.", origin=Origin("log.jsonl", 8))


def made(task: str, source: Example, question: str, answer: str, *, language: str = "en") -> Example:
    return Example(
        (Message("user", question), Message("assistant", answer)),
        "domain",
        Origin(task),
        task=task,
        language=language,
        family=source.family,
        evidence={"task": task, "source": {"id": source.id, "path": "log.jsonl", "row": source.origin.row}},
    )


def test_a_clean_row_takes_the_place_of_the_log_it_was_made_of(tmp_path: Path) -> None:
    rewritten = made("real_qa", LOG, LOG.question, "It comes at noon.")
    cleaned = clean(tmp_path, [rewritten], collected=[LOG, OTHER])
    assert cleaned.kept == [OTHER, rewritten]
    [dropped] = cleaned.dropped
    assert (dropped.example, dropped.reason, dropped.detail) == (LOG, "superseded", f"rewritten as {rewritten.id}")


def test_a_clean_row_in_the_very_words_of_the_log_stays(tmp_path: Path) -> None:
    rewritten = made("real_qa", LOG, LOG.question, LOG.answer)
    cleaned = clean(tmp_path, [rewritten], collected=[LOG])
    assert rewritten.id == LOG.id
    assert cleaned.kept == [rewritten]
    assert [dropped.reason for dropped in cleaned.dropped] == ["superseded"]


def test_a_clean_row_that_a_reviewer_rejected_takes_no_place(tmp_path: Path) -> None:
    rewritten = made("real_qa", LOG, LOG.question, "It comes at nine.")
    judge(tmp_path, "ann", rewritten, "reject")
    cleaned = clean(tmp_path, [rewritten], collected=[LOG])
    assert cleaned.kept == [LOG]


@pytest.mark.parametrize(
    ("question", "answer", "third", "reason"),
    [
        # A rule that looks at the row alone, one that compares it with a row of others, one that finds it said already.
        ("When does my payout come", "K", None, "too_short"),
        (
            "Well, when does my payout come",
            "It comes at noon.",
            ("Well, when does my payout come", "It comes at nine."),
            "contradiction",
        ),
        ("Well, when does it come, then", "At noon.", ("well, when does it come, then", "At noon."), "duplicate"),
        ("什么时候到账", "K", None, "too_short"),
        ("请问什么时候到账", "中午到账。", ("请问什么时候到账", "九点到账。"), "contradiction"),
    ],
)
def test_a_log_survives_a_clean_row_that_falls_itself(
    tmp_path: Path, question: str, answer: str, third: tuple[str, str] | None, reason: str
) -> None:
    rewritten = made("real_qa", LOG, question, answer)
    others = [example(*third, origin=Origin("other.jsonl", 1))] if third else []
    cleaned = clean(tmp_path, [rewritten], collected=[LOG, *others], novelty=1, near_duplicates=1)
    assert LOG in cleaned.kept
    assert (rewritten, reason) in [(dropped.example, dropped.reason) for dropped in cleaned.dropped]
    assert cleaned.counts["dropped_superseded"] == 0


def test_a_log_that_is_back_is_cleaned_like_any_other_row(tmp_path: Path) -> None:
    rewritten = made("real_qa", LOG, "When does it come", "K")
    twin = made("doc2qa", OTHER, LOG.question, "At two.")
    cleaned = clean(tmp_path, [rewritten, twin], collected=[LOG])
    assert [(dropped.example, dropped.reason) for dropped in cleaned.dropped] == [
        (LOG, "contradiction"),
        (rewritten, "too_short"),
        (twin, "contradiction"),
    ]


def test_one_clean_row_of_a_log_is_enough_and_is_named(tmp_path: Path) -> None:
    bad, good = made("real_qa", LOG, "When does it come", "K"), made("real_qa", LOG, "When does my payout come", "At noon.")
    cleaned = clean(tmp_path, [bad, good], collected=[LOG])
    assert cleaned.kept == [good]
    details = {dropped.example.id: (dropped.reason, dropped.detail) for dropped in cleaned.dropped}
    assert details[LOG.id] == ("superseded", f"rewritten as {good.id}")


def test_skipped_the_log_stays_and_the_two_contradict_each_other(tmp_path: Path) -> None:
    rewritten = made("real_qa", LOG, LOG.question, "It comes at noon.")
    cleaned = clean(tmp_path, [rewritten], collected=[LOG], skip=["superseded"])
    assert [dropped.reason for dropped in cleaned.dropped] == ["contradiction", "contradiction"]


@pytest.mark.parametrize("task", BORROWED_TASKS)
def test_a_borrowed_question_is_no_copy(tmp_path: Path, task: str) -> None:
    near = made(task, LOG, "When does my payout come today", "It comes at noon.")
    assert clean(tmp_path, [near], collected=[LOG]).kept == [LOG, near]


def test_another_task_with_a_near_question_is(tmp_path: Path) -> None:
    near = made("doc2qa", LOG, "When does my payout come today", "It comes at noon.")
    cleaned = clean(tmp_path, [near], collected=[LOG])
    assert [(dropped.example.task, dropped.reason) for dropped in cleaned.dropped] == [("doc2qa", "novelty")]


def test_a_label_may_be_one_character_and_an_answer_may_not(tmp_path: Path) -> None:
    label = made("similarity", LOG, "下面两句话的意思相同吗？句子一：提现多久到账 句子二：提现何时到账", "是", language="zh")
    answer = made("doc2qa", OTHER, "可以退款吗，退款要收费吗", "是", language="zh")
    cleaned = clean(tmp_path, [label, answer])
    assert cleaned.kept == [label]
    assert [(dropped.reason, dropped.detail) for dropped in cleaned.dropped] == [
        ("too_short", "answer has 1 characters, fewer than 2")
    ]
