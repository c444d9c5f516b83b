"""The skeleton that explains most questions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewell.collect.skeletons import Skeleton, commonest_skeleton

TOPICS = ("cats", "the sea", "Anna and Tom", "tax", "2 dogs", "“the end of it”", "rain", "snow", "a loaf of bread", "Rome")
OTHERS = ("Who?", "No sound today", "Refund, please!", "Error 42", "Card lost", "Sign me up", "Money late", "Hi", "Bye", "Ok then")


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("Write a poem about {}.", "write a poem about …"),
        ("{}: put this into French, please", "… put this into french please"),
        ("Explain {} in simple terms", "explain … in simple terms"),
        ("请写一首关于{}的诗", "请写一首关于…的诗"),
    ],
)
def test_topics_are_gaps(form: str, text: str) -> None:
    questions = [form.format(topic) for topic in TOPICS]
    assert commonest_skeleton([*questions, *OTHERS], share=0.5) == Skeleton(text, 10)


def test_what_goes_on_differently_still_begins_alike() -> None:
    questions = ["How do I pay my bill?", "How do I cancel the order?", "How do I sign my name in the book?", "Who?"]
    assert commonest_skeleton(questions, share=0.5) == Skeleton("how do i …", 3)


def test_a_few_common_words_among_gaps_are_no_skeleton() -> None:
    questions = [f"w{n}x the v{n}x of u{n}x the t{n}x and" for n in range(10)]
    assert commonest_skeleton(questions, share=0.5) is None


def test_too_small_a_share_is_none() -> None:
    questions = [*(f"Write a poem about {topic}" for topic in TOPICS[:4]), *OTHERS[:6]]
    assert commonest_skeleton(questions, share=0.4) == Skeleton("write a poem about …", 4)
    assert commonest_skeleton(questions, share=0.41) is None
    assert commonest_skeleton([], share=0.1) is None


@given(st.lists(st.text(alphabet='ab 1是“”"', max_size=30), max_size=12), st.floats(0.05, 1))
def test_any_text_has_an_honest_count(questions: list[str], share: float) -> None:
    found = commonest_skeleton(questions, share=share)
    assert found == commonest_skeleton(questions[::-1], share=share), "the order of the questions does not matter"
    if found:
        assert share * len(questions) <= found.questions <= len(questions)
        assert found.text.replace("…", "").strip()
