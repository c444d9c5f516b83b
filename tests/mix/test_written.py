"""Rows that a teacher wrote are trained on; they are the test only where there is nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.mix.mixing import mix, row
from tunewell.records import Example, Origin

DOCUMENT_TASKS = {"doc2qa", "doc2conv", "summary"}


def written(number: int, task: str, family: str = "") -> Example:
    origin = Origin("help/page.md", None, "Refunds", 0, 10) if task in DOCUMENT_TASKS else Origin(task)
    one = row(number + 1000)
    return Example(one.messages, "domain", origin, task=task, family=family or f"f{number:014d}", evidence={"teacher": "t"})


@pytest.mark.parametrize("task", ["doc2qa", "summary", "paraphrase", "similarity", "cot"])
def test_a_teachers_row_is_no_test_item_and_leaves_with_its_family(tmp_path: Path, task: str) -> None:
    logs = [row(number) for number in range(30)]
    made = [written(number, task, logs[number].family) for number in range(30)]
    mixed = mix(tmp_path, [*logs, *made, row(1, "open")], ratio={"open": 0, "domain": 1}, holdout=0.2)
    assert {item.evidence.get("teacher") for item in mixed.test} == {None}
    unseen = {item.family for item in mixed.test if item.task == "unseen"}
    assert len(unseen) == 6
    assert len([item for item in mixed.test if item.task == "seen"]) == 6
    assert not unseen & {item.family for item in mixed.train}
    assert len(mixed.train) == 60 - 12


def test_questions_from_logs_in_the_users_words_can_test(tmp_path: Path) -> None:
    mixed = mix(
        tmp_path,
        [*(written(number, "real_qa") for number in range(20)), *(written(number + 20, "doc2qa") for number in range(20))],
        ratio={"open": 0, "domain": 1},
        holdout=0.2,
    )
    assert len(mixed.test) == 8
    assert {item.origin.path for item in mixed.test} == {"real_qa"}


def test_without_rows_of_the_users_own_a_teachers_are_the_test(tmp_path: Path) -> None:
    mixed = mix(tmp_path, [written(number, "doc2qa") for number in range(20)], ratio={"open": 0, "domain": 1}, holdout=0.2)
    assert sorted(item.task for item in mixed.test) == ["seen"] * 4 + ["unseen"] * 4


@pytest.mark.parametrize("task", ["paraphrase", "summary", "similarity"])
def test_the_users_rows_can_test_though_their_file_or_task_has_the_name_of_a_teachers(tmp_path: Path, task: str) -> None:
    own = [replace(row(number), origin=Origin(task, number), task=task) for number in range(20)]
    mixed = mix(tmp_path, [*own, *(written(number, "cot") for number in range(20))], ratio={"open": 0, "domain": 1}, holdout=0.2)
    assert sorted(item.task for item in mixed.test) == ["seen"] * 4 + ["unseen"] * 4
    assert {item.origin.path for item in mixed.test} == {task}


def test_collected_pairs_can_test(tmp_path: Path) -> None:
    pairs = [row(number, task="similarity") for number in range(20)]
    mixed = mix(
        tmp_path, [*pairs, *(written(number, "similarity") for number in range(20))], ratio={"open": 0, "domain": 1}, holdout=0.2
    )
    assert {item.origin.path for item in mixed.test} == {"domain.jsonl"}
