"""Retention items spread over abilities, and probabilities that do not punish long choices."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewell.records import Example, Message, Origin
from tunewell.retention import choice_probabilities, languages_of, retention_items


def _example(language: str, row: int) -> Example:
    messages = (Message("user", f"question {row}"), Message("assistant", "answer"))
    return Example(messages, "domain", Origin("t", row), language=language)


def test_languages_are_those_of_the_examples_the_most_frequent_first() -> None:
    assert languages_of([_example("zh", 1), _example("en", 2), _example("en", 3)]) == ["en", "zh"]
    assert languages_of([]) == ["en"]


@pytest.mark.parametrize("languages", [["en"], ["zh"], ["en", "zh"], ["zh", "en"]])
@pytest.mark.parametrize("count", [1, 16, 50, 64, 300, 10_000])
def test_items_are_spread_evenly_over_languages_and_abilities(languages: list[str], count: int) -> None:
    items = retention_items(languages, count=count)
    assert len(items) == min(count, len(languages) * 304)
    sizes = dict.fromkeys(product(languages, {item.ability for item in retention_items(["en"], count=10_000)}), 0)
    for item in items:
        sizes[item.language, item.ability] += 1
    assert max(sizes.values()) - min(sizes.values()) <= 1
    by_language = [sum(size for (code, _), size in sizes.items() if code == language) for language in languages]
    assert max(by_language) - min(by_language) <= 1


def test_the_likelier_choice_per_token_wins_even_when_it_is_longer() -> None:
    probabilities = choice_probabilities([-4.0, -6.0], [2, 6])
    assert probabilities[1] > probabilities[0]
    assert probabilities[1] == pytest.approx(0.731, abs=1e-3)


@given(st.lists(st.tuples(st.floats(-1e4, 0), st.integers(1, 50)), min_size=1, max_size=6))
def test_probabilities_sum_to_one(pairs: list[tuple[float, int]]) -> None:
    values, lengths = zip(*pairs, strict=True)
    probabilities = choice_probabilities(values, lengths)
    assert sum(probabilities) == pytest.approx(1)
    assert all(0 <= probability <= 1 for probability in probabilities)
