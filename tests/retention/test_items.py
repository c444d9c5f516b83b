"""The bundled retention items: enough of each ability, no shape of a choice that gives the right one away, no doubles."""

import re
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from statistics import fmean

import pytest
from rapidfuzz import fuzz

from tunewell.retention import RetentionItem, retention_items

_ENOUGH = 10_000
_ABILITIES = ("knowledge", "reasoning", "arithmetic", "reading", "extraction", "summary", "format", "refusal")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_HALF_WIDTH_BESIDE_HAN = re.compile(r"[\u4e00-\u9fff][,;?!]")

each_language = pytest.mark.parametrize("language", ["en", "zh"])


def _longest(choice: str) -> int:
    return len(choice)


def _shortest(choice: str) -> int:
    return -len(choice)


def _accuracy(items: list[RetentionItem], size: Callable[[str], int]) -> float:
    """How often the choice of the greatest size is right, where a tie is drawn by lot."""

    def chance(item: RetentionItem) -> float:
        sizes = [size(choice) for choice in item.choices]
        return (sizes[item.answer] == max(sizes)) / sizes.count(max(sizes))

    return fmean(chance(item) for item in items)


def _by_ability(items: list[RetentionItem]) -> dict[str, list[RetentionItem]]:
    return {ability: [item for item in items if item.ability == ability] for ability in _ABILITIES}


@each_language
def test_there_are_as_many_items_of_each_ability(language: str) -> None:
    items = retention_items([language], count=_ENOUGH)
    assert len(items) >= 300
    assert Counter(item.ability for item in items) == dict.fromkeys(_ABILITIES, len(items) // 8)


@each_language
def test_right_answers_are_as_often_in_each_place(language: str) -> None:
    items = retention_items([language], count=_ENOUGH)
    for ability, of_ability in _by_ability(items).items():
        places = [sum(item.answer == place for item in of_ability) for place in range(4)]
        assert max(places) - min(places) <= 1, (ability, places)


@each_language
@pytest.mark.parametrize("size", [_longest, _shortest])
def test_the_length_of_a_choice_does_not_give_it_away(language: str, size: Callable[[str], int]) -> None:
    items = retention_items([language], count=_ENOUGH)
    assert _accuracy(items, size) == pytest.approx(0.25, abs=0.05)
    for ability, of_ability in _by_ability(items).items():
        assert _accuracy(of_ability, size) == pytest.approx(0.25, abs=0.1), ability


@each_language
@pytest.mark.parametrize("share", range(1, 39))
def test_the_first_items_are_spread_evenly_too(language: str, share: int) -> None:
    items = retention_items([language], count=8 * share)
    assert Counter(item.ability for item in items) == dict.fromkeys(_ABILITIES, share)


@each_language
def test_no_two_questions_are_alike(language: str) -> None:
    questions = [item.question for item in retention_items([language], count=_ENOUGH)]
    alike = [pair for pair in combinations(questions, 2) if fuzz.ratio(*pair, score_cutoff=90) > 90]
    assert alike == []


@each_language
def test_texts_are_distinct_and_trimmed(language: str) -> None:
    for item in retention_items([language], count=_ENOUGH):
        assert len(item.choices) == len(set(item.choices)) == 4, item.question
        assert all(text and text == text.strip() for text in (item.question, *item.choices)), item.question


def test_english_items_are_ascii() -> None:
    for item in retention_items(["en"], count=_ENOUGH):
        assert all(text.isascii() for text in (item.question, *item.choices)), item.question


def test_chinese_items_are_in_chinese_characters_and_full_width_punctuation() -> None:
    for item in retention_items(["zh"], count=_ENOUGH):
        assert _HAN.search(item.question), item.question
        assert not _HALF_WIDTH_BESIDE_HAN.search(item.question), item.question
        # What a format asks for may be a date, a digit or a word of English.
        assert item.ability == "format" or all(_HAN.search(choice) for choice in item.choices), item.question
