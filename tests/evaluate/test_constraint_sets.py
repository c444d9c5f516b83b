"""One to three constraints at once: they never contradict each other, and the kinds and the numbers take turns."""

from collections import Counter
from itertools import combinations, islice

import pytest

from tests.evaluate.constraint_witness import obey
from tunewell.bundled import read_yaml
from tunewell.evaluate.constraint_sets import compatible, constraint_sets
from tunewell.evaluate.constraints import follow_each

_TABLE = read_yaml("probes", "constraints.yaml")
_KINDS = {kind["kind"]: kind for kind in _TABLE["kinds"]}


def _of(language: str) -> list[str]:
    return [name for name, kind in _KINDS.items() if language in kind]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_whatever_may_be_asked_at_once_can_be_obeyed_at_once(language: str) -> None:
    contradictions = []
    for kinds in combinations(_of(language), 3):
        if not compatible(kinds):
            continue
        constraints = [{"kind": kind, "check": _KINDS[kind]["check"], **_KINDS[kind][language]} for kind in kinds]
        answers = obey(kinds, language)
        if not any(all(one.strict for one in follow_each(answer, constraints)) for answer in answers):
            contradictions.append(kinds)
    assert contradictions == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_kind_stands_in_a_set_of_three(language: str) -> None:
    free = {kind for kinds in combinations(_of(language), 3) if compatible(kinds) for kind in kinds}
    assert free == set(_of(language))


def test_kinds_of_one_family_and_rows_of_conflicts_exclude_each_other_both_ways() -> None:
    assert not compatible(["one_sentence", "three_sentences"])
    assert not compatible(["json_object", "start_with"])
    assert not compatible(["start_with", "json_object"])
    assert not compatible(["short_sentences", "table"])
    assert compatible(["bullet_list", "start_with"])
    assert compatible(["at_most_words", "no_comma"])


def test_conflicts_name_kinds_and_families_that_exist() -> None:
    names = set(_KINDS) | {kind["family"] for kind in _KINDS.values()}
    assert {name for key, others in _TABLE["conflicts"].items() for name in (key, *others)} <= names
    assert not set(_KINDS) & {kind["family"] for kind in _KINDS.values()}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_sizes_take_turns_and_kinds_come_equally_often(language: str) -> None:
    sets = list(islice(constraint_sets(language), 300))
    assert [len(constraints) for constraints in sets] == [1, 2, 3] * 100
    for constraints in sets:
        kinds = [constraint["kind"] for constraint in constraints]
        assert compatible(kinds), kinds
    counts = Counter(constraint["kind"] for constraints in sets for constraint in constraints)
    assert set(counts) == set(_of(language))
    assert max(counts.values()) - min(counts.values()) <= 2
    for size in (1, 2, 3):
        of_size = Counter(constraint["kind"] for constraints in sets for constraint in constraints if len(constraints) == size)
        assert set(of_size) == set(counts), "else numbers would be compared on different kinds"
