"""Each rule alone: what it sees, what it lets pass, and that its cheap first look loses nothing."""

import re
from collections.abc import Callable, Sequence
from importlib.resources import files
from itertools import pairwise
from typing import Any, get_args

import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tunewell.clean import rules
from tunewell.clean.batch import Batch, Details
from tunewell.clean.rules import Rule, Verdict, first_reasons, own_rules
from tunewell.clean.words import blacklist, control_tokens
from tunewell.recipe import Clean, RuleName
from tunewell.records import EXAMPLE_SCHEMA, Example, Message, Origin, Pool, Role, example_to_row
from tunewell.text import normalise


def example(*texts: str, system: str = "", pool: Pool = "domain", **fields: Any) -> Example:
    """A conversation of texts, user first."""
    roles: tuple[Role, Role] = ("user", "assistant")
    messages = [Message(roles[number % 2], text) for number, text in enumerate(texts)]
    start = [Message("system", system)] if system else []
    return Example((*start, *messages), pool, fields.pop("origin", Origin("a.csv", 1)), **fields)


def batch(*examples: Example) -> Batch:
    return Batch(pa.Table.from_pylist(list(map(example_to_row, examples)), schema=EXAMPLE_SCHEMA))


def seen(rule: Callable[..., Details], row: Example, **options: Any) -> str | None:
    """What the rule sees in the row, which must be the same alone and between others."""
    other = example("How long does a payout take?", "Two business days.", language="en")
    (alone,) = rule(batch(row), **options)
    assert rule(batch(other, row, other), **options)[1] == alone
    return alone


def test_the_rules_are_those_of_the_recipe() -> None:
    assert get_args(RuleName) == rules.RULES


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        (example(" \n", "Two days."), "blank question"),
        (example(" \n", "\u3000"), "blank question"),
        (example("When?", "\t"), "blank answer"),
        (example("When?", "Two days.", "And fees?", ""), "blank answer"),
        (example("When?"), "no answer"),
        (Example((Message("assistant", "Hello"),), "domain", Origin("a")), "no question"),
        (Example((), "domain", Origin("a")), "no question"),
        (example("When?", "Two days."), None),
        (example("When?", "Two days.", system=" "), None),
    ],
)
def test_empty(row: Example, detail: str | None) -> None:
    assert seen(rules.empty, row) == detail


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        (example(" ? ", "Yes, it is."), "question has 1 characters, fewer than 2"),
        (example("?", "Y"), "question has 1 characters, fewer than 2"),
        (example("Is it?", "Y"), "answer has 1 characters, fewer than 2"),
        (example("Is it?", "Yes", "Ok?", "1"), "answer has 1 characters, fewer than 2"),
        (example("Is it?", "Yes or no?", "y", "Good."), None),
        (example("吗?", "是的"), None),
    ],
)
def test_too_short(row: Example, detail: str | None) -> None:
    assert seen(rules.too_short, row, min_chars=2) == detail


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        (example("How are you?", "1"), "question has 12 characters, more than 5"),
        (example("1", "123456"), "answer has 6 characters, more than 5"),
        (example("1", "123456", "1234567", "4"), "question has 7 characters, more than 5"),
        (example("😀😀😀😀😀", "五个汉字呀"), None),
        (example(" 12345 ", "12345\n"), None),
    ],
)
def test_too_long(row: Example, detail: str | None) -> None:
    assert rules.too_long(batch(row), max_chars=5) == [detail]


@pytest.mark.parametrize(
    ("found", "languages", "detail"),
    [("zh", ["en"], "language is zh"), ("en", ["en"], None), ("", ["en"], None), ("zh", [], None), ("zh", ["en", "zh"], None)],
)
def test_language(found: str, languages: list[str], detail: str | None) -> None:
    assert seen(rules.language, example("a", "b", language=found), languages=languages) == detail


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
    assert seen(blacklist, example(question, "I cannot.")) == f"asks for: {word}"


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
    assert seen(blacklist, example(question, "See the video and the picture.")) is None


def test_blacklist_looks_at_every_question_of_a_conversation() -> None:
    assert seen(blacklist, example("Hi", "Hello", "Draw it", "No")) == "asks for: draw"


def test_no_blacklisted_word_is_hidden_by_an_allowed_phrase() -> None:
    text = (files("tunewell") / "assets" / "clean" / "blacklist.yaml").read_text(encoding="utf-8")
    for lists in yaml.safe_load(text).values():
        assert len(set(lists["words"])) == len(lists["words"])
        for word in lists["words"]:
            assert blacklist(batch(example(f"{word} ", "no"))) != [None], word
        for phrase in lists["allowed"]:
            assert any(word in phrase for word in lists["words"]), f"{phrase} allows nothing"
            assert blacklist(batch(example(phrase.title(), "yes"))) == [None], phrase


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        (example("Where is my payout?", "where is  my payout? "), "answer equals the question"),
        (example("Ｗhere is my ﬁle?", "Where is my file?"), "answer equals the question"),
        (example("e\u0301tude", "étude"), "answer equals the question"),
        (example("我的提现在哪里", "我的提现在哪里"), "answer equals the question"),
        (example("Hello, a question", "Yes?", "And the fee?", "And the fee?"), "answer equals the question"),
        (example("And the fee?", "Which?", "That of cards", "And the fee?"), "answer equals the question"),
        (example("Where is my payout? Tell me.", "Where is my payout?"), "answer is the beginning of the question"),
        (example("Yes or no: is it free?", "Yes"), None),
        (example("Is it so?", "Is it so"), None),
        (example("cafe\u0301 noir", "café noir"), "answer equals the question"),
        (example("Paris or London, which one?", "Paris or Lo"), None),
        (example("Where is my payout", "Where is my payout? It is on its way."), None),
        (example("One", "Two", "Three", "One of them"), None),
        (example("Repeat: be kind", "be kind"), None),
        (example("", ""), None),
        (
            Example((Message("assistant", "Hi there"), Message("user", "Hi there")), "open", Origin("a")),
            "answer equals the question",
        ),
        (Example((Message("assistant", "Hi there"),), "open", Origin("a")), None),
    ],
)
def test_echo(row: Example, detail: str | None) -> None:
    assert seen(rules.echo, row) == detail


def test_echo_does_not_compare_an_answer_with_the_question_of_another_row() -> None:
    rows = [example("Where is my payout?"), Example((Message("assistant", "Where is my payout?"),), "open", Origin("a"))]
    assert rules.echo(batch(*rows)) == [None, None]


@pytest.mark.parametrize(
    "token",
    [
        "<|im_start|>", "<|eot_id|>", "<|reserved_special_token_0|>", "<|tool_call_begin|>", "<｜User｜>", "<｜end▁of▁sentence｜>",
        "[|Human|]", "[|AI|]", "[|assistant|]", "<human>", "<bot>", "<eoh>", "[INST]", "[/INST]", "<<SYS>>", "[TOOL_CALLS]", "<s>",
        "</s>", "<bos>", "<start_of_turn>", "<end_of_turn>", "[gMASK]", "[sMASK]", "<reserved_106>",
        "<unused12>", "[UNUSED_TOKEN_145]", "<extra_id_0>", "[CLS]",
    ],
)  # fmt: skip
def test_control_tokens_drops(token: str) -> None:
    assert seen(control_tokens, example("When?", f"Soon.{token}")) == f"holds {token}"
    assert seen(control_tokens, example(f"When?{token}", "Soon.")) == f"holds {token}"
    assert seen(control_tokens, example("When?", "Soon.", system=f"{token}You help.")) == f"holds {token}"


@pytest.mark.parametrize("token", ["<think>", "</think>", "<tool_call>", "</tool_response>"])
def test_an_answer_may_think_aloud_and_a_question_may_not(token: str) -> None:
    assert seen(control_tokens, example("When?", f"{token}Soon.")) is None
    assert seen(control_tokens, example(f"When?{token}", "Soon.")) == f"holds {token}"
    assert seen(control_tokens, example("When?", "Soon.", system=token)) == f"holds {token}"


@pytest.mark.parametrize(
    "text",
    [
        "a <| b |> c", "x < s > y", "<strong>", "[INSTALL]", "if a<b|c>d", "I think>", "<|>", "|im_end|", "[|1; 2|]", "<user>@host",
        "<unused>", "[1]",
    ],
)  # fmt: skip
def test_control_tokens_keeps(text: str) -> None:
    assert seen(control_tokens, example(text, "Fine.")) is None


def test_settings_reach_their_rules() -> None:
    clean = Clean(min_chars=3, max_chars=40, languages=["en"], noise=0.2, personal="drop")
    rows = [
        example("Ok", "Fine then", language="en"),
        example("A question " * 9, "Fine then", language="en"),
        example("提现多久到账", "两天之内", language="zh"),
        example("Is it damaged?", "No \ufffd!", language="en"),
        example("Whom do I ask?", "Ask help@mail.example", language="en"),
        example("Whom do I ask?", "Ask jo@mail.example", language="en"),
    ]
    found = [verdict and verdict.reason for verdict in first_reasons(batch(*rows), own_rules(clean, ["help@mail.example"]))]
    assert found == ["too_short", "too_long", "language", "noise", None, "personal"]


def test_rules_stand_in_the_order_of_the_recipe_and_can_be_skipped() -> None:
    every = [rule.reason for rule in own_rules(Clean(personal="drop"))]
    assert every == list(rules.RULES[: len(every)])
    assert len(every) == 11
    assert "personal" not in [rule.reason for rule in own_rules(Clean(personal="mask"))]
    assert [rule.reason for rule in own_rules(Clean(skip=["blacklist", "empty"]))] == [
        "rejected", "superseded", "too_short", "too_long", "language", "noise", "echo", "control_tokens",
    ]  # fmt: skip


def test_a_row_is_dropped_by_the_first_rule_and_not_seen_by_later_ones() -> None:
    looked_at: list[list[str]] = []

    def on(letter: str) -> Callable[[Batch], Details]:
        def check(rows: Batch) -> Details:
            looked_at.append(rows.questions)
            return [f"has {letter}" if letter in question else None for question in rows.questions]

        return check

    applied = [Rule("empty", on("a")), Rule("noise", on("b")), Rule("echo", on("c"))]
    verdicts = first_reasons(batch(*(example(text, "-") for text in ("ab", "b", "-", "bc", "c"))), applied)
    assert verdicts == [
        Verdict("empty", "has a"), Verdict("noise", "has b"), None, Verdict("noise", "has b"), Verdict("echo", "has c"),
    ]  # fmt: skip
    assert looked_at == [["ab", "b", "-", "bc", "c"], ["b", "-", "bc", "c"], ["-", "c"]]


def test_a_batch_without_rows_has_no_verdicts() -> None:
    assert first_reasons(Batch(EXAMPLE_SCHEMA.empty_table()), own_rules(Clean(personal="drop", languages=["en"]))) == []


def test_every_rule_is_documented_in_the_same_form() -> None:
    for rule in own_rules(Clean(personal="drop")):
        text = getattr(rule.check, "func", rule.check).__doc__ or ""
        assert [text.count(heading) for heading in ("What it drops:", "Why:", "Example:", "Known problems:", "Source:")] == [1] * 5


_PIECES = st.sampled_from(
    [
        "a",
        "A",
        "é",
        "e\u0301",
        "\u0301",
        "¨",
        "ﬁ",
        "Σ",
        "İ",
        " ",
        "  ",
        "\n",
        "\u3000",
        "。",
        "汉",
        "字",
        "退款",
        "where is",
        "?",
        "1",
    ]
)
_TEXTS = st.lists(_PIECES, max_size=6).map("".join)
_ROWS = st.lists(st.lists(st.tuples(st.sampled_from(get_args(Role)), _TEXTS), max_size=4), max_size=4)


def _plain_echo(messages: Sequence[tuple[str, str]]) -> bool:
    pairs = [(one[1], two[1]) for one, two in pairwise(messages) if (one[0], two[0]) == ("user", "assistant")]
    users, answers = ([text for role, text in messages if role == wanted] for wanted in ("user", "assistant"))
    pairs += zip(users[:1], answers[-1:], strict=False)
    for question, answer in ((normalise(one), normalise(two)) for one, two in pairs):
        is_start = question.startswith(answer) and len(answer) >= 10 and 2 * len(answer) >= len(question)
        if answer and (question == answer or is_start):
            return True
    return False


@given(_ROWS)
def test_the_rules_over_a_batch_are_those_over_each_row(rows: list[list[tuple[Role, str]]]) -> None:
    examples = [Example(tuple(Message(*message) for message in messages), "open", Origin("a")) for messages in rows]
    lengths = [[(role, len(text.strip())) for role, text in messages] for messages in rows]
    spoken = [[message for message in messages if message[0] != "system"] for messages in lengths]
    firsts = [[size for role, size in messages if role == "user"][:1] for messages in lengths]
    answers = [[size for role, size in messages if role == "assistant"] for messages in lengths]
    found = {
        "empty": [detail is not None for detail in rules.empty(batch(*examples))],
        "too_short": [detail is not None for detail in rules.too_short(batch(*examples), min_chars=3)],
        "too_long": [detail is not None for detail in rules.too_long(batch(*examples), max_chars=3)],
        "echo": [detail is not None for detail in rules.echo(batch(*examples))],
    }
    assert found == {
        "empty": [len({role for role, _ in row}) < 2 or any(size == 0 for _, size in row) for row in spoken],
        "too_short": [any(size < 3 for size in (*first, *rest)) for first, rest in zip(firsts, answers, strict=True)],
        "too_long": [any(size > 3 for _, size in row) for row in spoken],
        "echo": list(map(_plain_echo, rows)),
    }


@given(
    st.lists(
        st.lists(st.sampled_from(["map", "photo", " ", "_", "图片", "画一", "样", "a", ".", "withdraw"]), max_size=5).map("".join)
    )
)
def test_the_first_look_of_the_blacklist_loses_nothing(questions: list[str]) -> None:
    words = re.compile(r"(?<![A-Za-z0-9_])(map|photo)(?![A-Za-z0-9_])|图片|画一(?!样)")
    found = [detail is not None for detail in blacklist(batch(*(example(text, "no") for text in questions)))]
    assert found == [words.search(text) is not None for text in questions]
