"""Each format, by its keys, and each way in which a row can be broken."""

import contextlib
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewell.collect.fields import fold
from tunewell.collect.formats import Conversation, evidence_of, explain_unknown, recognise, rows_in, to_conversation
from tunewell.collect.problems import REMEDIES, RowError
from tunewell.records import Message


def _read(row: dict[str, Any]) -> Conversation:
    folded = fold(row)
    format_ = recognise(folded)
    assert format_ is not None
    return to_conversation(folded, format_)


def _conversation(row: dict[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    format_ = recognise(fold(row))
    assert format_ is not None
    return format_.name, [(message.role, message.content) for message in _read(row).messages]


_U, _A = "user", "assistant"


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
        (_turns("assistant", "user"), "bad_roles", "the conversation ends with the user, so there is no answer to learn"),
        (_turns("assistant"), "empty", "the conversation has no turns"),
        (_turns("user", "user", "assistant"), "bad_roles", "turn 2 is `user` where `assistant` is expected"),
        (_turns("user", "assistant", "system"), "bad_roles", "turn 3 is `system` where `user` is expected"),
        ({"question": " ", "answer": "a"}, "empty", "the user text of turn 1 is empty"),
        ({"question": "q", "answer": "\n"}, "empty", "the assistant text of turn 2 is empty"),
        ({"question": "q", "answer": 4}, "wrong_type", "`answer` is a number where text is expected"),
        ({"question": None, "answer": "a"}, "wrong_type", "`question` is null where text is expected"),
        ({"messages": "hello"}, "wrong_type", "`messages` is text where a list is expected"),
        ({"messages": ["hello"]}, "empty", "the conversation has no turns"),
        ({"messages": [1]}, "wrong_type", "turn 1 is a number where an object is expected"),
        ({"messages": ["hello", 1]}, "wrong_type", "turn 2 is a number where text or an object with `message` is expected"),
        ({"messages": [{"message": 1}, "x"]}, "wrong_type", "turn 1: `message` is a number where text is expected"),
        ({"messages": [{"content": "x"}]}, "missing_keys", "turn 1: has no `role`"),
        ({"conversation": [{"human": "x", "assistant": None}]}, "wrong_type", "turn 1: `assistant` is null where text"),
        ({"text": "Human: a\nHuman: b\nAssistant: c"}, "bad_roles", "turn 2 is `user` where `assistant` is expected"),
        ({"text": "<user>: a <bot>: b <user>: c"}, "bad_roles", "the conversation ends with the user"),
        ({"input": ["a", "b"], "output": ["c"]}, "unequal_lists", "`input` has 2 texts, `output` 1"),
        ({"input": ["a"], "output": [1]}, "wrong_type", "text 1 of `output` is a number where text is expected"),
        ({"input": [], "output": []}, "empty", "the conversation has no turns"),
        ({"instruction": "a", "instances": []}, "wrong_type", "`instances` is no list of objects with `input` and `output`"),
        ({"instruction": "a", "instances": [{"input": "b"}]}, "missing_keys", "has no `output`"),
        ({"query": "a", "laws": [1], "answer": "b"}, "wrong_type", "`laws` holds a number where text is expected"),
        ({"query": "a", "laws": [{"x": "y"}], "answer": "b"}, "wrong_type", "`laws` holds an object where text is expected"),
        ({"sentence1": "a", "sentence2": "b", "label": 2}, "wrong_type", "`label` is 2 where 0, 1 or a word is expected"),
        ({"sentence1": "a", "sentence2": "b", "label": 0.5}, "wrong_type", "`label` is 0.5 where 0, 1 or a word is expected"),
        ({"sentence1": "a", "sentence2": "b", "label": [1]}, "wrong_type", "`label` is a list where a label is expected"),
        ({"sentence1": "a", "sentence2": " ", "label": 1}, "empty", "`sentence2` is empty"),
        ({"sentence1": "a", "sentence2": "b", "label": "-"}, "unlabelled", "`label` is `-`: nobody has judged this pair"),
        ({"sentence1": "a", "sentence2": "b", "label": -1}, "unlabelled", "`label` is `-1`: nobody has judged this pair"),
        ({"sentence1": "a", "sentence2": "b", "label": None}, "unlabelled", "`label` is ``: nobody has judged this pair"),
        ({"premise": "a", "hypothesis": "b", "label": 1}, "wrong_type", "`label` is 1 where relations are expected in words"),
        ({"text": "a", "label": ""}, "unlabelled", "`label` is empty: nobody has judged this text"),
        ({"text": "", "label": "b"}, "empty", "`text` is empty"),
        ({"context": "a", "question": "b", "answers": []}, "unanswerable", "the text does not answer the question `b`"),
        ({"context": "a", "question": "b", "answers": {"text": []}}, "unanswerable", "the text does not answer"),
        (
            {"context": "a", "question": "b", "answers": ["c"], "is_impossible": True},
            "unanswerable",
            "the text does not answer the question `b`",
        ),
        ({"context": "a", "question": "b", "answers": [{"x": 1}]}, "wrong_type", "`answers` holds null where text is expected"),
        ({"context": 1, "question": "b", "answers": ["c"]}, "wrong_type", "`context` is a number where text is expected"),
        ({"paragraphs": "x"}, "wrong_type", "x is no object with `context` and `qas`, or not a list of them"),
        ({"paragraphs": {"a": 1}}, "wrong_type", "`paragraphs` is no object with `context` and `qas`"),
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
    with pytest.raises(RowError) as caught:
        _read(row)
    assert caught.value.problem.reason == reason
    assert caught.value.problem.detail.startswith(detail)


def test_an_unknown_role_lists_the_known_ones() -> None:
    with pytest.raises(RowError, match=r"turn 1 has the unknown role `narrator`; known: system, user, human") as caught:
        _conversation(_turns("narrator"))
    assert caught.value.problem.reason == "bad_roles"


@pytest.mark.parametrize(
    ("row", "reason", "detail"),
    [
        ({}, "empty", "an object without keys"),
        ({"question": "q"}, "missing_keys", "has `question` but no answer (`answer`, `response`"),
        ({"instruction": "q"}, "missing_keys", "has `instruction` but no answer"),
        ({"答案": "a"}, "missing_keys", "has `答案` but no question (`question`, `ask`"),
        ({"text": "t", "kind": 1}, "unknown_format", "no known format has the keys kind, text"),
        ({"text": "no dialogue", "id": "Human: is one"}, "unknown_format", "no known format has the keys id, text"),
        ({"sentence1": "a", "sentence2": "b"}, "unknown_format", "no known format has the keys sentence1, sentence2"),
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
    assert evidence_of(fold(row)) == {"topic": "fees", "category": "billing"}
    with pytest.raises(RowError, match="`topic` holds a NUL byte"):
        evidence_of({"topic": "\0"})


@pytest.mark.parametrize(
    ("row", "name", "expected"),
    [
        ({"input": ["a", "c"], "output": ["b", "d"]}, "lists", [(_U, "a"), (_A, "b"), (_U, "c"), (_A, "d")]),
        ({"instruction": "Do", "input": ["a"], "output": ["b"]}, "lists", [(_U, "Do\na"), (_A, "b")]),
        ({"text": "<user>: a <bot>: b <user>: c <bot>: d"}, "dialogue", [(_U, "a"), (_A, "b"), (_U, "c"), (_A, "d")]),
        ({"dialog": "<Human>：a\n<Assistant>：b"}, "dialogue", [(_U, "a"), (_A, "b")]),
        ({"conversation": "Human: a: b\nmore\nAssistant: c"}, "dialogue", [(_U, "a: b\nmore"), (_A, "c")]),
        ({"messages": "用户：你好\n助手：您好"}, "dialogue", [(_U, "你好"), (_A, "您好")]),
        ({"input": "问：几点？\n答：三点。"}, "dialogue", [(_U, "几点？"), (_A, "三点。")]),
        ({"text": "### Human: a### Assistant: b"}, "dialogue", [(_U, "a"), (_A, "b")]),
        ({"text": "A talk.\nUser: a\nBot: b"}, "dialogue", [("system", "A talk."), (_U, "a"), (_A, "b")]),
        ({"input": "Human: a\nAssistant: b\nHuman: c", "target": "d"}, "dialogue", [(_U, "a"), (_A, "b"), (_U, "c"), (_A, "d")]),
        (
            {"instruction": "Human: a\nAssistant: ", "input": "", "output": "b"},
            "dialogue",
            [(_U, "a"), (_A, "b")],
        ),
        (
            {"instruction": "Be brief", "input": "用户：a\n助手：b\n用户：c", "output": "d"},
            "dialogue",
            [(_U, "Be brief\na"), (_A, "b"), (_U, "c"), (_A, "d")],
        ),
        ({"instruction": "Human: a\nBot: b", "input": "c", "output": "d"}, "alpaca", [(_U, "Human: a\nBot: b\nc"), (_A, "d")]),
        ({"question": "a", "answer": "User: b\nBot: c"}, "qa", [(_U, "a"), (_A, "User: b\nBot: c")]),
        ({"prompt": "What says\nUser: a\nBot: b", "answer": "c"}, "qa", [(_U, "What says\nUser: a\nBot: b"), (_A, "c")]),
        ({"messages": ["a", "b", "c", "d"]}, "messages", [(_U, "a"), (_A, "b"), (_U, "c"), (_A, "d")]),
        ({"dialogue": ["a", "b"]}, "sharegpt", [(_U, "a"), (_A, "b")]),
        ({"messages": [{"message": "a", "attrs": []}, {"message": "b"}]}, "messages", [(_U, "a"), (_A, "b")]),
        ({"items": [{"from": "human", "value": "a"}, {"from": "bing", "value": "b"}]}, "sharegpt", [(_U, "a"), (_A, "b")]),
        ({"turns": [{"speaker": "用户", "text": "a"}, {"speaker": "客服", "text": "b"}]}, "sharegpt", [(_U, "a"), (_A, "b")]),
        ({"conversation": [{"human": "a", "assistant": "b"}] * 2}, "sharegpt", [(_U, "a"), (_A, "b")] * 2),
        (
            {"conversations": [{"from": role, "value": role} for role in ("human", "function_call", "observation", "gpt")]},
            "sharegpt",
            [(_U, "human"), (_A, "function_call"), (_U, "observation"), (_A, "gpt")],
        ),
        ({"instruction": "a", "instances": [{"input": "b", "output": "c"}]}, "self-instruct", [(_U, "a\nb"), (_A, "c")]),
        (
            {"question": "c", "answer": "d", "history": ["a", "b"]},
            "qa",
            [(_U, "a"), (_A, "b"), (_U, "c"), (_A, "d")],
        ),
        (
            {"instruction": "c", "output": "d", "history": [{"role": "user", "content": "a"}, {"role": "bot", "content": "b"}]},
            "alpaca",
            [(_U, "a"), (_A, "b"), (_U, "c"), (_A, "d")],
        ),
        (
            {"query": "Fine?", "laws": ["Law one", {"text": "Law two"}, " "], "history": [["a", "b"]], "response": "c"},
            "reference",
            [
                (_U, "a"),
                (_A, "b"),
                (_U, "Use this material to answer.\n\n[1] Law one\n[2] Law two\n\nQuestion: Fine?"),
                (_A, "c"),
            ],
        ),
        (
            {"instruction": "怎么罚？", "context": "第{一}条", "response": "c"},
            "reference",
            [(_U, "请根据以下资料回答问题。\n\n第{一}条\n\n问题：怎么罚？"), (_A, "c")],
        ),
        ({"instruction": "a", "context": "", "response": "b"}, "reference", [(_U, "a"), (_A, "b")]),
        ({"query": "a", "reference": None, "response": "b"}, "reference", [(_U, "a"), (_A, "b")]),
        ({"department": "d", "title": "t", "ask": "a", "answer": "b"}, "qa", [(_U, "a"), (_A, "b")]),
        ({"标题": "a", "回答": "b"}, "qa", [(_U, "a"), (_A, "b")]),
        ({"提问": "a", "回答": "b"}, "qa", [(_U, "a"), (_A, "b")]),
        ({"input": "a", "target": "b", "kind": "x"}, "qa", [(_U, "a"), (_A, "b")]),
        ({"instruction": "Do", "input": "a", "target": "b"}, "alpaca", [(_U, "Do\na"), (_A, "b")]),
    ],
)
def test_the_many_shapes_of_published_rows(row: dict[str, Any], name: str, expected: list[tuple[str, str]]) -> None:
    assert _conversation(row) == (name, expected)


_SAME = "Do these two sentences mean the same? Answer with yes or no.\n\nSentence 1: {a}\nSentence 2: {b}"
_RELATION = "How does the second sentence relate to the first? Answer with the relation alone.\n\nSentence 1: a\nSentence 2: b"


@pytest.mark.parametrize(
    ("keys", "label", "question", "answer"),
    [
        (("sentence1", "sentence2"), "1", _SAME.format(a="a", b="b"), "Yes"),
        (("sentence1", "sentence2"), 0, _SAME.format(a="a", b="b"), "No"),
        (("text_a", "text_b"), "匹配", _SAME.format(a="a", b="b"), "Yes"),
        (("text1", "text2"), "Not_Duplicate", _SAME.format(a="a", b="b"), "No"),
        (("sentence_a", "sentence_b"), True, _SAME.format(a="a", b="b"), "Yes"),
        (("question1", "question2"), "duplicate", _SAME.format(a="a", b="b"), "Yes"),
        (("sentence1", "sentence2"), "entailment", _RELATION, "entailment"),
        (("premise", "hypothesis"), "Neutral", _RELATION, "Neutral"),
    ],
)
def test_sentence_pairs_become_questions(keys: tuple[str, str], label: Any, question: str, answer: str) -> None:
    row = {keys[0]: "a", keys[1]: "b", "label": label}
    assert _conversation(row) == ("similarity", [(_U, question), (_A, answer)])
    assert _read(row).task == "similarity"


def test_sentence_pairs_are_asked_about_in_their_language() -> None:
    row = {"sentence1": "多久{到账}", "sentence2": "到账时间", "label": "0"}
    question = "下面两句话的意思相同吗？请回答“是”或“否”。\n\n句子一：多久{到账}\n句子二：到账时间"
    assert _conversation(row) == ("similarity", [(_U, question), (_A, "否")])
    related = {**row, "label": "蕴含"}
    assert _conversation(related)[1][0][1].startswith("第二句话与第一句话是什么关系？请只回答关系名称。")


@pytest.mark.parametrize(
    ("row", "answer"),
    [({"text": "a", "category": "card_arrival"}, "card_arrival"), ({"sentence": "a", "label": 3}, "3")],
)
def test_labelled_texts_become_questions(row: dict[str, Any], answer: str) -> None:
    question = "Which category does this text belong to? Answer with the name of the category alone.\n\nText: a"
    assert _conversation(row) == ("classification", [(_U, question), (_A, answer)])
    assert _read(row).task == "classification"


@pytest.mark.parametrize("answers", [{"text": ["c", "d"], "answer_start": [0, 1]}, [{"text": "c"}], ["c"]])
def test_questions_on_a_text_share_its_family(answers: Any) -> None:
    row = {"context": "a", "question": "b?", "answers": answers}
    question = "Read the text and answer the question in words of the text.\n\nText: a\n\nQuestion: b?"
    assert _conversation(row) == ("squad", [(_U, question), (_A, "c")])
    other = {**row, "question": "c?"}
    assert (_read(row).task, _read(row).family == _read(other).family != "") == ("reading", True)


def test_an_article_holds_one_row_a_question_and_names_what_is_malformed() -> None:
    asked = [{"question": "b?", "answers": [{"text": "c"}]}, {"question": "d?", "is_impossible": True}, 7]
    rows = list(rows_in({"title": "t", "paragraphs": [{"context": "a", "qas": asked}, {"context": "a"}, "x"]}))
    assert [(row.get("question"), row.get("context")) for row in rows[:2]] == [("b?", "a"), ("d?", "a")]
    assert [row["paragraphs"] for row in rows[2:]] == ["paragraph 1", "paragraph 2", "paragraph 3"]
    found = []
    for row in rows:
        with contextlib.suppress(RowError):
            found.append(_read(dict(row)).messages[-1].content)
    assert found == ["c"]


def test_the_instances_of_an_instruction_share_its_family() -> None:
    instances = [{"input": "", "output": "b"}, {"input": "c", "output": "d"}]
    first, second = (_read(dict(row)) for row in rows_in({"instruction": "a", "instances": instances}))
    assert [message.content for message in first.messages] == ["a", "b"]
    assert [message.content for message in second.messages] == ["a\nc", "d"]
    assert first.family == second.family != ""


@pytest.mark.parametrize(
    ("row", "cut"),
    [
        ({"conversations": [{"from": "gpt", "value": "Hi"}, {"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}, 1),
        ({"messages": ["a", "b", "bye"]}, 1),
        ({"text": "Bot: Welcome\nUser: a\nBot: b"}, 1),
        ({"question": "a", "answer": "b", "history": ["lost"]}, 1),
        ({"messages": ["a", "b"]}, 0),
    ],
)
def test_turns_that_are_cut_are_counted(row: dict[str, Any], cut: int) -> None:
    conversation = _read(row)
    assert [message.content for message in conversation.messages] == ["a", "b"]
    assert conversation.evidence == ({"cut_turns": cut} if cut else {})


@pytest.mark.parametrize("text", ["#" * 1_000_000, " " * 1_000_000, "<user" * 200_000, "Human: " * 150_000, "\n" * 1_000_000])
def test_a_long_text_of_signs_takes_no_time(text: str) -> None:
    started = time.perf_counter()
    assert recognise({"text": text}) is None
    assert time.perf_counter() - started < 2


_NAMES = st.sampled_from(["role", "from", "message", "value", "content", "human", "text", "input", "output", "context", "qas"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["Human: a\nBot: b", "1", "entailment"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | _NAMES, inner, max_size=3),
    max_leaves=6,
)
_TEXT_KEYS = ("instruction", "input", "output", "question", "answer", "system", "text", "category", "context", "laws")
_LIST_KEYS = ("messages", "conversations", "items", "dialogue", "history", "answers", "paragraphs", "instances")
_KEYS = st.sampled_from([*_TEXT_KEYS, *_LIST_KEYS, "sentence1", "sentence2", "premise", "hypothesis", "label", "is_impossible"])


@given(st.dictionaries(_KEYS, _JSON, max_size=5))
def test_any_row_becomes_a_conversation_or_a_reason(row: dict[str, Any]) -> None:
    for part in rows_in(row):
        format_ = recognise(part)
        if format_ is None:
            assert explain_unknown(part).reason in REMEDIES
            continue
        reasons: list[str] = []
        messages: list[Message] = []
        try:
            messages += to_conversation(part, format_).messages
        except RowError as error:
            reasons.append(error.problem.reason)
        assert set(reasons) <= set(REMEDIES)
        assert reasons or messages[-1].role == "assistant"
        assert all(message.content.strip() for message in messages)
