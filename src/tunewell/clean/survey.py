"""What only a look at all rows can tell, taken before any row is judged: contradictory questions, contaminated families."""

from array import array
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

import numpy as np

from tunewell.clean.keys import answer_key, question_key
from tunewell.clean.novelty import NearIndex
from tunewell.records import Example
from tunewell.text import normalise

CONTAMINATION_THRESHOLD = 0.7
BLOCK = 1024

_Item = TypeVar("_Item")


def contradictory_questions(examples: Iterable[Example]) -> set[int]:
    """The question keys of single-turn rows that have more than one answer. Memory: 16 bytes a row."""
    questions, answers = array("Q"), array("Q")
    for example in examples:
        if example.turns == "single":
            questions.append(question_key(example))
            answers.append(answer_key(example))
    question, answer = np.array(questions, dtype=np.uint64), np.array(answers, dtype=np.uint64)
    order = np.argsort(question)
    question, answer = question[order], answer[order]
    conflict = (question[1:] == question[:-1]) & (answer[1:] != answer[:-1])
    return set(question[1:][conflict].tolist())


def contaminated_families(examples: Iterable[Example], test_items: Iterable[Example]) -> dict[str, str]:
    """The families with a question that is, or nearly is, one of the test, and what it was found to be near to.

    Test items of the task `seen` do not count: they are meant to be trained on.
    """
    index, equal = NearIndex(CONTAMINATION_THRESHOLD), dict[str, str]()
    for item in test_items:
        if item.task != "seen":
            name = f"{item.task} test item {item.id} ({item.origin})"
            index.add(item.question, name)
            equal.setdefault(normalise(item.question), name)
    families: dict[str, str] = {}
    for block in blocks(examples if equal else ()):
        for example, near in zip(block, index.nearest([example.question for example in block]), strict=True):
            same = equal.get(normalise(example.question))
            if same is not None:
                families.setdefault(example.family, f"its family asks the question of {same}")
            elif near is not None:
                families.setdefault(example.family, f"its family asks a question of ROUGE-L F1 {near.score:.2f} with {near.name}")
    return families


def blocks(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    """The items in lists of `BLOCK`, the last one shorter."""
    rest = iter(items)
    while block := list(islice(rest, BLOCK)):
        yield block
