"""Each format, by its keys, and each way in which a row can be broken."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewell.collect.formats import evidence_of, explain_unknown, recognise, to_conversation
from tunewell.collect.problems import REMEDIES, RowError


def _conversation(row: dict[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    format_ = recognise(row)
    assert format_ is not None
    return format_.name, [(message.role, message.content) for message in to_conversation(row, format_)]


@pytest.mark.parametrize(
    ("row", "name", "expected"),
    [
        ({"instruction": "Add", "input": "2 and 3", "output": "5"}, "alpaca", [("user", "Add\n2 and 3"), ("assistant", "5")]),
        ({"instruction": "Hi", "input": "", "output": "Hello"}, "alpaca", [("user", "Hi"), ("assistant", "Hello")]),
        ({"instruction": "Hi", "input": None, "output": "Hello"}, "alpaca", [("user", "Hi"), ("assistant", "Hello")]),
        ({"instruction": "Add", "input": "2, 3", "response": "5"}, "alpaca", [("user", "Add\n2, 3"), ("assistant", "5")]),
        (
            {"system": "Be kind", "instruction": "c", "output": "d", "history": [["a", "b"]]},
            "alpaca",
            [("system", "Be kind"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")],
        ),
        (
            {
                "messages": [
                    {"role": "system", "content": "s"},
                    {"role": "user", "content": "u"},
                    {"role": "assistant", "content": "a"},
                ]
            },
            "messages",
            [("system", "s"), ("user", "u"), ("assistant", "a")],
        ),
        (
            {"system": "s", "conversations": [{"from": "human", "value": "u"}, {"from": "gpt", "value": "a"}]},
            "sharegpt",
            [("system", "s"), ("user", "u"), ("assistant", "a")],
        ),
        (
            {"conversations": [{"from": "System", "value": " "}, {"from": "user", "value": "u"}, {"from": "bot", "value": "a"}]},
            "sharegpt",
            [("user", "u"), ("assistant", "a")],
        ),
        ({"system": " ", "question": "u", "answer": "a"}, "qa", [("user", "u"), ("assistant", "a")]),
    ],
)
def test_a_row_becomes_a_conversation(row: dict[str, Any], name: str, expected: list[tuple[str, str]]) -> None:
    assert _conversation(row) == (name, expected)


@pytest.mark.parametrize(
    "keys",
    [
        ("question", "answer"),
        ("Question ", "ANSWER"),
        ("ask", "answer"),
        ("prompt", "response"),
        ("prompt", "completion"),
        ("query", "response"),
        ("q", "a"),
        ("问", "答"),
        ("问题", "答案"),
        ("问题", "回答"),
        ("instruction", "answer"),
        ("instruction", "response"),
        ("input", "output"),
    ],
)
def test_question_answer_rows_by_their_keys(keys: tuple[str, str]) -> None:
    row = {"department": "x", keys[0]: "u", keys[1]: "a"}
    assert _conversation(row) == ("qa", [("user", "u"), ("assistant", "a")])


def _turns(*roles: str) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": "text"} for role in roles]}


@pytest.mark.parametrize(
    ("row", "reason", "detail"),
    [
        ({"messages": []}, "empty", "the conversation has no turns"),
        (_turns("system"), "empty", "the conversation has no turns"),
        (_turns("user"), "bad_roles", "the conversation ends with the user, so there is no answer to learn"),
        (_turns("assistant", "user"), "bad_roles", "turn 1 is `assistant` where `user` is expected"),
        (_turns("user", "user", "assistant"), "bad_roles", "turn 2 is `user` where `assistant` is expected"),
        (_turns("user", "assistant", "system"), "bad_roles", "turn 3 is `system` where `user` is expected"),
        ({"question": " ", "answer": "a"}, "empty", "the user text of turn 1 is empty"),
        ({"question": "q", "answer": "\n"}, "empty", "the assistant text of turn 2 is empty"),
        ({"question": "q", "answer": 4}, "wrong_type", "`answer` is a number where text is expected"),
        ({"question": None, "answer": "a"}, "wrong_type", "`question` is null where text is expected"),
        ({"messages": "hello"}, "wrong_type", "`messages` is text where a list is expected"),
        ({"messages": ["hello"]}, "wrong_type", "turn 1 is text where an object is expected"),
        ({"messages": [{"role": "user"}]}, "missing_keys", "turn 1: has no `content`"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "wrong_type", "turn 1: `content` is a list where text is expected"),
        ({"instruction": "a", "input": "b"}, "missing_keys", "has `instruction` but no answer"),
        ({"instruction": "a", "output": "b", "history": [["x"]]}, "wrong_type", "pair 1 of `history` is not a list of two texts"),
        ({"instruction": "a", "output": "b", "history": {"x": 1}}, "wrong_type", "`history` is an object where a list is expected"),
        ({"question": "a\0", "answer": "b"}, "nul_bytes", "the user text holds a NUL byte"),
        ({"question": "a", "answer": "\ud83d"}, "undecodable", "the assistant text holds \\ud83d, half of a surrogate pair"),
    ],
)
def test_a_broken_row_names_its_reason_and_cause(row: dict[str, Any], reason: str, detail: str) -> None:
    format_ = recognise(row)
    assert format_ is not None
    with pytest.raises(RowError) as caught:
        to_conversation(row, format_)
    assert caught.value.problem.reason == reason
    assert caught.value.problem.detail.startswith(detail)


def test_an_unknown_role_lists_the_known_ones() -> None:
    with pytest.raises(RowError, match=r"turn 1 has the unknown role `tool`; known: system, developer, user") as caught:
        _conversation(_turns("tool"))
    assert caught.value.problem.reason == "bad_roles"


@pytest.mark.parametrize(
    ("row", "reason", "detail"),
    [
        ({}, "empty", "an object without keys"),
        ({"question": "q"}, "missing_keys", "has `question` but no answer (`answer`, `response`"),
        ({"instruction": "q"}, "missing_keys", "has `instruction` but no answer"),
        ({"答案": "a"}, "missing_keys", "has `答案` but no question (`question`, `ask`"),
        ({"text": "t", "label": 1}, "unknown_format", "no known format has the keys label, text"),
        ({"a": 1}, "unknown_format", "no known format has the keys a"),
        ({"seen": {}, "unseen": {}}, "unknown_format", "a triple of test items"),
    ],
)
def test_a_row_without_a_format_is_explained(row: dict[str, Any], reason: str, detail: str) -> None:
    assert recognise(row) is None
    problem = explain_unknown(row)
    assert problem.reason == reason
    assert problem.detail.startswith(detail)


def test_only_texts_become_evidence() -> None:
    row = {"topic": "fees", "Category": "billing", "source": 3, "task": None, "other": "x"}
    assert evidence_of(row) == {"topic": "fees", "category": "billing"}
    with pytest.raises(RowError, match="`topic` holds a NUL byte"):
        evidence_of({"topic": "\0"})


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_KEYS = st.sampled_from(["messages", "conversations", "instruction", "input", "output", "history", "system", "question", "answer"])


@given(st.dictionaries(_KEYS, _JSON, max_size=5))
def test_any_row_becomes_a_conversation_or_a_reason(row: dict[str, Any]) -> None:
    format_ = recognise(row)
    if format_ is None:
        assert explain_unknown(row).reason in REMEDIES
        return
    with contextlib.suppress(RowError):
        messages = to_conversation(row, format_)
        assert messages[-1].role == "assistant"
        assert all(message.content.strip() for message in messages)
