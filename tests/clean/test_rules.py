"""Each rule alone: what it sees, and what it lets pass."""

from importlib.resources import files
from typing import Any

import pytest
import yaml

from tunewell.clean import rules
from tunewell.clean.keys import conversation_key, question_key
from tunewell.records import Example, Message, Origin, Pool, Role


def example(*texts: str, system: str = "", pool: Pool = "domain", **fields: Any) -> Example:
    """A conversation of texts, user first."""
    roles: tuple[Role, Role] = ("user", "assistant")
    messages = [Message(roles[number % 2], text) for number, text in enumerate(texts)]
    start = [Message("system", system)] if system else []
    return Example((*start, *messages), pool, fields.pop("origin", Origin("a.csv", 1)), **fields)


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        (example(" \n", "Two days."), "blank question"),
        (example("When?", "\t"), "blank answer"),
        (example("When?", "Two days.", "And fees?", ""), "blank answer"),
        (example("When?"), "no answer"),
        (Example((Message("assistant", "Hello"),), "domain", Origin("a")), "no question"),
        (example("When?", "Two days."), None),
        (example("When?", "Two days.", system=" "), None),
    ],
)
def test_empty(row: Example, detail: str | None) -> None:
    assert rules.empty(row) == detail


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        (example(" ? ", "Yes, it is."), "question has 1 characters, fewer than 2"),
        (example("Is it?", "Y"), "answer has 1 characters, fewer than 2"),
        (example("Is it?", "Yes", "Ok?", "1"), "answer has 1 characters, fewer than 2"),
        (example("Is it?", "Yes or no?", "y", "Good."), None),
        (example("吗?", "是的"), None),
    ],
)
def test_too_short(row: Example, detail: str | None) -> None:
    assert rules.too_short(row, min_chars=2) == detail


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        (example("123456", "1"), "question has 6 characters, more than 5"),
        (example("1", "123456"), "answer has 6 characters, more than 5"),
        (example("1", "2", "123456", "4"), "question has 6 characters, more than 5"),
        (example(" 12345 ", "12345\n"), None),
    ],
)
def test_too_long(row: Example, detail: str | None) -> None:
    assert rules.too_long(row, max_chars=5) == detail


@pytest.mark.parametrize(
    ("found", "languages", "detail"),
    [("zh", ["en"], "language is zh"), ("en", ["en"], None), ("", ["en"], None), ("zh", [], None), ("zh", ["en", "zh"], None)],
)
def test_language(found: str, languages: list[str], detail: str | None) -> None:
    assert rules.language(example("a", "b", language=found), languages=languages) == detail


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("Draw my sales", "draw"),
        ("Show me the PICTURE.", "picture"),
        ("Which photo照片?", "photo"),
        ("给我画一张流程图", "画一"),
        ("这段视频讲什么", "视频"),
        ("Compare the chart of accounts with this chart", "chart"),
        ("Play some music", "music"),
    ],
)
def test_blacklist_drops(question: str, word: str) -> None:
    assert rules.blacklist(example(question, "I cannot.")) == f"asks for: {word}"


@pytest.mark.parametrize(
    "question",
    [
        "How do I withdraw?",
        "Where do I go to change my plan?",
        "Which file format is the export?",
        "Set up my chart of accounts",
        "Can I rename the payment link? See photographer_1",
        "付款链接和文件在哪里",
        "和计划一样吗",
        "What is the plot of Hamlet?",
        "邻居的音乐声太大怎么办",
    ],
)
def test_blacklist_keeps(question: str) -> None:
    assert rules.blacklist(example(question, "See the video and the picture.")) is None


def test_blacklist_looks_at_every_question_of_a_conversation() -> None:
    assert rules.blacklist(example("Hi", "Hello", "Draw it", "No")) == "asks for: draw"


def test_no_blacklisted_word_is_hidden_by_an_allowed_phrase() -> None:
    text = (files("tunewell") / "assets" / "clean" / "blacklist.yaml").read_text(encoding="utf-8")
    for lists in yaml.safe_load(text).values():
        assert len(set(lists["words"])) == len(lists["words"])
        for word in lists["words"]:
            assert rules.blacklist(example(f"{word} ", "no")) is not None, word
        for phrase in lists["allowed"]:
            assert any(word in phrase for word in lists["words"]), f"{phrase} allows nothing"
            assert rules.blacklist(example(phrase.title(), "yes")) is None, phrase


@pytest.mark.parametrize(
    "token",
    [
        "<|im_start|>", "<|eot_id|>", "<|reserved_special_token_0|>", "<｜User｜>", "<｜end▁of▁sentence｜>", "[INST]", "[/INST]",
        "<<SYS>>", "<s>", "</s>", "<bos>", "<start_of_turn>", "<end_of_turn>", "<think>", "</think>", "[gMASK]", "<reserved_106>",
    ],
)  # fmt: skip
def test_control_tokens_drops(token: str) -> None:
    assert rules.control_tokens(example("When?", f"Soon.{token}")) == f"holds {token}"
    assert rules.control_tokens(example("When?", "Soon.", system=f"{token}You help.")) == f"holds {token}"


@pytest.mark.parametrize("text", ["a <| b |> c", "x < s > y", "<strong>", "[INSTALL]", "if a<b|c>d", "I think>", "<|>", "|im_end|"])
def test_control_tokens_keeps(text: str) -> None:
    assert rules.control_tokens(example(text, "Fine.")) is None


def test_contamination_goes_by_family() -> None:
    assert rules.contamination(example("a", "b", family="f"), families={"f": "why"}) == "why"
    assert rules.contamination(example("a", "b"), families={"f": "why"}) is None


def test_duplicate_compares_the_whole_conversation_after_normalising() -> None:
    kept = {conversation_key(example("When is payout?", "Two days.")): "a.csv:7"}
    assert rules.duplicate(example("when is  PAYOUT?", "Two days. "), kept=kept) == "same conversation as a.csv:7"
    assert rules.duplicate(example("When is payout?", "Three days."), kept=kept) is None
    assert rules.duplicate(example("When is payout?", "Two days.", system="Be brief."), kept=kept) is None


def test_contradiction_concerns_single_turn_rows_alone() -> None:
    questions = {question_key(example("Fee?", ""))}
    assert rules.contradiction(example("fee?", "1 %"), questions=questions) == "the same question has different answers"
    assert rules.contradiction(example("Fee?", "1 %", "Sure?", "Yes"), questions=questions) is None
    assert rules.contradiction(example("Fee?", "1 %", system="EU"), questions=questions) is None


def test_novelty_names_the_rival() -> None:
    row = example("a", "b")
    assert rules.novelty(row, rivals=lambda _: "a.csv:3", threshold=0.7) == "ROUGE-L F1 above 0.7 with a.csv:3"
    assert rules.novelty(row, rivals=lambda _: None, threshold=0.7) is None
    assert rules.novelty(row, rivals=lambda _: "", threshold=0.7) is not None


def test_every_rule_is_documented_in_the_same_form() -> None:
    for name in rules.RULES:
        text = getattr(rules, name).__doc__
        assert [text.count(heading) for heading in ("What it drops:", "Why:", "Example:", "Known problems:", "Source:")] == [1] * 5
