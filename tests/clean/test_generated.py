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
