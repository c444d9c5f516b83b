"""Rows that give away the test: by their question, or by a passage; and what does not count."""

import pickle
import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clean.reference import lcs
from tests.clean.test_rules import batch, example
from tunewell.clean import contamination
from tunewell.clean.contamination import Hits, TestIndex, contaminated
from tunewell.records import Example, Origin
from tunewell.text import normalise, tokens

WORDS = [f"w{number}" for number in range(40)]
PASSAGE = " ".join(WORDS[:13])
OTHER = "Where do I see what I have sold"


def asked(question: str, answer: str = "Yes", *, task: str = "unseen", family: str = "test-family") -> Example:
    return example(question, answer, task=task, family=family, origin=Origin("t.csv", 4))


def found(items: Sequence[Example], rows: Sequence[Example], *, parts: int = 1) -> dict[str, str]:
    """The contaminated families, the rows examined in parts as workers would."""
    index = TestIndex(items)
    return contaminated([pickle.loads(pickle.dumps(index.hits(batch(*rows[part::parts])))) for part in range(parts)])


def grams(text: str) -> set[tuple[str, ...]]:
    words = tokens(text)
    return {tuple(words[start : start + 13]) for start in range(len(words) - 12)}


def reference(items: Sequence[Example], rows: Sequence[Example]) -> set[str]:
    """The rule in plain sets."""
    items = [item for item in items if item.task != "seen"]
    where = [(item.family, gram) for item in items for text in _texts(item) for gram in grams(text)]
    passages = {gram for _, gram in where if len({family for family, other in where if other == gram}) == 1}
    held = [(row.family, gram) for row in rows for gram in set().union(*(grams(message.content) for message in row.messages))]
    counts = {gram: sum(other == gram for _, other in held) for gram in passages}
    by_passage = {family for family, gram in held if gram in passages and counts[gram] <= 10}
    return by_passage | {row.family for row in rows if any(_asks(row.question, item.question) for item in items)}


def _texts(item: Example) -> list[str]:
    return [item.question, item.answer] if item.task == "unseen" else [item.question]


def _asks(left: str, right: str) -> bool:
    first, second = tokens(left), tokens(right)
    return normalise(left) == normalise(right) or 20 * lcs(first, second) > 7 * (len(first) + len(second))


def test_a_row_that_asks_a_question_of_the_test_is_found_with_its_family() -> None:
    test = asked("Do you ship terminals to Iceland")
    rows = [example("do you  ship terminals to ICELAND", "Yes", family="a"), example(OTHER, "There", family="b")]
    assert found([test], rows) == {"a": f"its family asks the question of unseen test item {test.id} (t.csv:4)"}


def test_a_row_that_asks_nearly_the_same_is_found_with_the_nearest_item_and_the_score() -> None:
    far = asked("Do you ship the new terminals to Iceland and Norway", task="paraphrase")
    near = asked("Do you ship terminals to Iceland", task="paraphrase")
    rows = [example("Do you ship terminals to Iceland or not", "Yes", family="a")]
    detail = f"its family asks a question of ROUGE-L F1 0.86 with paraphrase test item {near.id} (t.csv:4)"
    assert found([far, near], rows) == found([near, far], rows) == {"a": detail}


def test_a_score_of_exactly_seven_tenths_is_let_pass_and_one_token_more_is_not() -> None:
    test = asked("a b c d e f g 1 2 3 4 5")
    assert found([test], [example("a b c d e f g x", "Yes")]) == {}
    (detail,) = found([test], [example("a b c d e f g 1", "Yes")]).values()
    assert "0.80" in detail


def test_a_question_with_few_words_of_the_test_is_still_found_where_these_are_all_of_it() -> None:
    (detail,) = found([asked("a b c d e")], [example("a b c d e 1 2 3 4", "Yes")]).values()
    assert "0.71" in detail


@pytest.mark.parametrize("tests_at_once", [1, 2])
def test_of_equally_near_items_the_first_is_named(tests_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contamination, "_TESTS_AT_ONCE", tests_at_once)
    items = [asked("a b c d x"), asked("a b c d y")]
    (detail,) = found(items, [example("a b c d z", "Yes")]).values()
    assert items[0].id in detail


@pytest.mark.parametrize("question", ["Как дела?", "?!"])
def test_a_question_without_tokens_is_found_only_where_it_is_equal(question: str) -> None:
    rows = [example(question, "Yes", family="a"), example("¿?", "Yes", family="b"), example("", "Yes", family="c")]
    assert list(found([asked(question)], rows)) == ["a"]


def test_a_blank_question_is_none_of_the_test_but_its_answer_counts() -> None:
    rows = [example(" ", "Yes", family="a"), example("Tell me", PASSAGE, family="b")]
    assert found([asked("", PASSAGE)], rows).keys() == {"b"}


@pytest.mark.parametrize(
    "row",
    [
        example(f"Please explain in words of your own that a child of ten understands: {PASSAGE}", "No"),
        example("Explain", f"It is this. {PASSAGE.upper()}!"),
        example("Hello", "Hi", f"Now, {PASSAGE.replace(' ', ', ')}", "Good"),
        example("Explain", "No", system=f"Know that {PASSAGE}"),
    ],
)
@pytest.mark.parametrize("item", [asked(f"What of {PASSAGE} then"), asked("What is it", f"{PASSAGE} indeed")])
def test_a_passage_of_the_test_is_found_in_any_message(item: Example, row: Example) -> None:
    assert found([item], [row]) == {row.family: f"its family holds 13 tokens in a row of unseen test item {item.id} (t.csv:4)"}


def test_chinese_characters_are_tokens() -> None:
    passage = "商户提现到账时间为两个工作日"
    assert found([asked("何时到账", f"{passage}。")], [example("多久", f"您好,{passage},谢谢", family="a")]).keys() == {"a"}


def test_twelve_tokens_or_tokens_of_two_messages_are_no_passage() -> None:
    short, first, second = (" ".join(words) for words in (WORDS[:12], WORDS[:7], WORDS[7:13]))
    item = asked("What is it", PASSAGE)
    assert found([item], [example("Tell me", short), example(first, second), example("x", first, second, "y")]) == {}
    assert found([asked("What is it", short)], [example("Tell me", f"{short} {short}")]) == {}


def test_the_answer_of_a_paraphrase_and_all_of_a_seen_item_are_meant_to_be_trained_on() -> None:
    seen = asked(f"What of {PASSAGE}", PASSAGE, task="seen")
    paraphrase = asked("What is it", PASSAGE, task="paraphrase")
    assert found([seen, paraphrase], [example("Tell me", PASSAGE), example(seen.question, "Yes")]) == {}


def test_a_passage_of_several_test_families_is_boilerplate_and_within_one_family_is_not() -> None:
    row = example("Tell me", PASSAGE, family="a")
    items = [asked("What is it", PASSAGE, family=family) for family in ("x", "x", "y")]
    assert found(items[:2], [row]).keys() == {"a"}
    assert found(items, [row]) == {}


@pytest.mark.parametrize("parts", [1, 3])
def test_a_passage_in_more_than_ten_rows_is_boilerplate_whatever_part_they_are_in(parts: int) -> None:
    rows = [example(f"Question {number}", f"{PASSAGE} {PASSAGE}", family=f"f{number}") for number in range(11)]
    item = asked("What is it", PASSAGE)
    assert found([item], rows[:10], parts=parts).keys() == {f"f{number}" for number in range(10)}
    assert found([item], rows, parts=parts) == {}


def test_rows_are_counted_and_not_families() -> None:
    rows = [example(f"Question {number}", PASSAGE, family="one") for number in range(11)]
    assert found([asked("What is it", PASSAGE)], rows) == {}


def test_without_test_items_nothing_is_found() -> None:
    assert found([], [example(PASSAGE, PASSAGE)]) == {}
    assert found([asked("a", task="seen")], [example("a", "Yes")]) == {}
    assert TestIndex([]).hits(batch(example("a", "b"))) == Hits({}, Counter(), {}, {})


def test_no_row_nothing_found() -> None:
    assert found([asked(PASSAGE)], []) == {}


def test_marks_that_collide_are_told_apart_by_their_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contamination, "_MARK_BITS", 1)
    item = asked("What is it", PASSAGE)
    rows = [example("Tell me", " ".join(reversed(WORDS[:13])), family="a"), example("Tell me", PASSAGE, family="b")]
    assert found([item], rows).keys() == {"b"}


def test_more_words_than_characters_are_still_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contamination, "_LAST_CHARACTER", 3)
    items = [asked("a b c d"), asked("e f g h")]
    rows = [example("a b c", "x", family="a"), example("e f g h i", "x", family="b"), example("a b e f", "x", family="c")]
    assert found(items, rows).keys() == {"a", "b"}


@given(seed=st.integers(0, 10_000), tests_at_once=st.integers(1, 9))
def test_random_rows_are_judged_as_the_reference_judges_them(seed: int, tests_at_once: int) -> None:
    draw = random.Random(seed)
    text = draw.choices(WORDS, k=400)

    def stretch() -> str:
        start = draw.randrange(360)
        words = text[start : start + draw.choice([2, 6, 14, 20])]
        if draw.random() < 0.5:
            words[draw.randrange(len(words))] = draw.choice([*WORDS, "unheard"])
        return " ".join(words)

    def row(number: int, task: str = "qa") -> Example:
        return example(*(stretch() for _ in range(draw.choice([2, 4]))), family=f"f{number}", task=task)

    items = [row(draw.randrange(5), task=draw.choice(["seen", "paraphrase", "unseen"])) for _ in range(draw.randrange(8))]
    rows = [row(draw.randrange(20)) for _ in range(draw.randrange(40))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contamination, "_TESTS_AT_ONCE", tests_at_once)
        assert found(items, rows, parts=draw.randint(1, 3)).keys() == reference(items, rows)
