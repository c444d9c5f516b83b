"""What holds for every family under every kind of tokenizer, whatever is said."""

from collections import Counter
from collections.abc import Container, Sequence
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.template.tokenizers import KINDS, family_tokenizer
from tunewell.errors import TemplateError
from tunewell.records import Message
from tunewell.template import (
    NOT_TRAINED,
    Encoded,
    FamilyFormat,
    Loss,
    family_names,
    golden_conversations,
    load_family,
)

_QUICK = settings(max_examples=6, deadline=None, database=None)
_EVERY_FAMILY = pytest.mark.parametrize("family", family_names())
_EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
_TWO_KINDS = pytest.mark.parametrize("kind", ["byte level", "a space put in front by a normaliser"])

# SentencePiece writes a space as ▁, so that this sign comes back as a space: a limit of such tokenizers.
_ANY = st.text(st.characters(codec="utf-8", exclude_characters="▁"), max_size=24)
_WORDY = st.text(st.sampled_from("aehlost 是的\n.!'1"), max_size=16).map(lambda text: f"a{text}e")


@cache
def _chat(family: str, kind: str) -> FamilyFormat:
    found = load_family(family)
    return FamilyFormat(found, family_tokenizer(found, kind))


def _conversation(system: str, turns: Sequence[tuple[str, str]], chat: FamilyFormat) -> list[Message]:
    front = [Message("system", system)] if system and chat.family.takes_system else []
    return [*front, *(message for asked, said in turns for message in (Message("user", asked), Message("assistant", said)))]


def _turns(texts: st.SearchStrategy[str]) -> st.SearchStrategy[list[tuple[str, str]]]:
    return st.lists(st.tuples(texts, texts), min_size=1, max_size=3)


def _answers(messages: Sequence[Message]) -> list[int]:
    return [place for place, message in enumerate(messages) if message.role == "assistant"]


def _decoded(family: str, kind: str, ids: Sequence[int]) -> str:
    return str(family_tokenizer(load_family(family), kind).decode(list(ids)))


@_EVERY_FAMILY
@_TWO_KINDS
@given(turns=_turns(_ANY), system=_ANY)
@_QUICK
def test_decoding_gives_every_text_back(family: str, kind: str, turns: list[tuple[str, str]], system: str) -> None:
    """But for white space at the ends, which some families and tokenizers take away; and alpaca's instruction and input part."""
    chat = _chat(family, kind)
    messages = _conversation(system, turns, chat)
    decoded = _decoded(family, kind, chat.encode(messages).ids)
    for message in messages:
        parts = message.content.strip().split("\n") if chat.family.with_input else [message.content]
        assert all(part.strip() in decoded for part in parts)


@_EVERY_FAMILY
@_TWO_KINDS
@given(turns=_turns(_ANY), system=_ANY)
@_QUICK
def test_the_prompt_of_every_answer_is_a_prefix(family: str, kind: str, turns: list[tuple[str, str]], system: str) -> None:
    """Of the conversation up to that answer; and of the whole conversation, unless the family writes past turns otherwise."""
    chat = _chat(family, kind)
    messages = _conversation(system, turns, chat)
    ids = chat.encode(messages).ids
    for place in _answers(messages):
        prompt = chat.prompt_ids(messages[:place])
        assert chat.encode(messages[: place + 1]).ids[: len(prompt)] == prompt
        if not _rewrites_history(chat, messages):
            assert ids[: len(prompt)] == prompt


@_EVERY_FAMILY
@_TWO_KINDS
@given(turns=_turns(_ANY), system=_ANY)
@_QUICK
def test_labels_are_the_answers_and_their_ends(family: str, kind: str, turns: list[tuple[str, str]], system: str) -> None:
    chat = _chat(family, kind)
    messages = _conversation(system, turns, chat)
    encoded = chat.encode(messages)
    end = chat.encode(messages).ids[-1]
    assert end in chat.stop_ids
    places = _answers(messages)
    expected = [NOT_TRAINED] * len(encoded.ids)
    for place in places[-1:] if _rewrites_history(chat, messages) else places:
        start, until = len(chat.prompt_ids(messages[:place])), len(chat.encode(messages[: place + 1]).ids)
        expected[start : until - 1] = encoded.ids[start : until - 1]
        expected[until - 1] = end
        answer = _decoded(family, kind, encoded.ids[start : until - 1])
        assert answer.strip() == messages[place].content.strip()
    assert encoded.labels == expected


def _rewrites_history(chat: FamilyFormat, messages: Sequence[Message]) -> bool:
    return chat.family.rewrites_history(has_system=messages[0].role == "system")


@_EVERY_FAMILY
@_TWO_KINDS
@given(turns=_turns(st.sampled_from(["Yes.", "a </think> b", "<think>\n1 + 1\n</think>\n\nTwo", " <think></think>", ""])))
@_QUICK
def test_the_choice_of_loss_changes_labels_alone(family: str, kind: str, turns: list[tuple[str, str]]) -> None:
    chat = _chat(family, kind)
    messages = _conversation("", turns, chat)
    every, last, masked = (chat.encode(messages, loss) for loss in (Loss(), Loss("last"), Loss(reasoning="mask")))
    assert every.ids == last.ids == masked.ids
    start = len(chat.prompt_ids(messages[:-1]))
    assert last.labels == [NOT_TRAINED] * start + every.labels[start:]
    thought, ends, said = messages[-1].content.rpartition("</think>")
    trained = [label for label in masked.labels[start:] if label != NOT_TRAINED]
    assert trained == masked.labels[len(masked.ids) - len(trained) :]
    assert _decoded(family, kind, trained[:-1]).strip() == said.strip()
    assert bool(thought + ends) == (len(trained) < len(every.ids) - start)


@_EVERY_FAMILY
@_TWO_KINDS
@given(turns=_turns(_WORDY), system=_WORDY)
@_QUICK
def test_ids_are_those_of_the_whole_text(family: str, kind: str, turns: list[tuple[str, str]], system: str) -> None:
    """The text as a server would tokenise it in one go has our ids, if nothing is merged or parted differently across a cut.

    A cut stands where the model takes over, between a prompt and its answer. Nothing happens across it where the answer begins
    with a letter and the prompt, tokenised alone, is a prefix of the text: a prompt that ends with a space is none, for the space
    is of one token with the word after it; nor one that ends with two line breaks under GPT-2's word pattern, which parts the
    last of them from the others when a word follows.
    """
    chat, tokenizer = _chat(family, kind), family_tokenizer(load_family(family), kind)
    messages = _conversation(system, turns, chat)
    whole = tokenizer(chat.text(messages), add_special_tokens=False)["input_ids"]
    prompts = [tokenizer(chat.text(messages[:place]), add_special_tokens=False)["input_ids"] for place in _answers(messages)]
    prompts = prompts[-1:] if _rewrites_history(chat, messages) else prompts
    if all(whole[: len(prompt)] == prompt for prompt in prompts):
        assert chat.encode(messages).ids == whole


_ENDS_WITH_A_SPACE = {"baichuan-7b", "belle-dschat", "belle-llama-ext", "chinese-alpaca-train"}
_ENDS_WITH_TWO_LINE_BREAKS = {"chinese-alpaca-inference", "llama-3"}


@_EVERY_KIND
def test_only_these_families_have_other_ids_than_the_whole_text(kind: str) -> None:
    """Over the golden conversations. Their servers must be asked with token ids, or with the prompt's text as it is."""
    expected = _ENDS_WITH_A_SPACE | (_ENDS_WITH_TWO_LINE_BREAKS if kind.startswith("byte level") else set())
    found = set()
    for family in family_names():
        chat, tokenizer = _chat(family, kind), family_tokenizer(load_family(family), kind)
        for golden in golden_conversations():
            if golden.messages[0].role == "system" and not chat.family.takes_system:
                continue
            whole = tokenizer(chat.text(golden.messages), add_special_tokens=False)["input_ids"]
            prompt = chat.text(golden.messages[:-1])
            assert tokenizer(prompt, add_special_tokens=False)["input_ids"] == chat.prompt_ids(golden.messages[:-1]) or (
                len(_answers(golden.messages)) > 1 and family in expected
            )
            if whole != chat.encode(golden.messages).ids:
                found.add(family)
    assert found == expected


_OPENS_EVERY_TURN = ("chinese-alpaca-2", "llama-2")
_NAMED_BOS = ("<bos>", "<|begin_of_text|>", "<｜begin▁of▁sentence｜>")


@_EVERY_FAMILY
@_EVERY_KIND
def test_one_bos_stands_where_the_family_has_one(family: str, kind: str) -> None:
    chat, tokenizer = _chat(family, kind), family_tokenizer(load_family(family), kind)
    messages = [Message("user", "U1"), Message("assistant", "A1"), Message("user", "U2")]
    ids = chat.prompt_ids(messages)
    first = next(iter(chat.family.prefix), None)
    if family in _OPENS_EVERY_TURN:
        assert ids.count(1) == 2
    elif first and first.value == "added_bos":
        assert ids.count(1) == KINDS[kind].adds_bos
    elif first and (first.value == "bos" or first.value in _NAMED_BOS):
        bos = 1 if first.value == "bos" else tokenizer.get_vocab()[str(first.value)]
        assert ids.count(bos) == 1
        assert ids[0] == bos
    elif family != "phoenix":  # it writes `<s>` in front of every text
        assert 1 not in ids


@_EVERY_FAMILY
@_EVERY_KIND
def test_control_tokens_in_a_text_stay_text(family: str, kind: str) -> None:
    chat, tokenizer = _chat(family, kind), family_tokenizer(load_family(family), kind)
    controls = tokenizer.added_tokens_decoder
    system = "s" if chat.family.takes_system else ""
    plain = _controls_in(chat.encode(_conversation(system, [("a", "b"), ("c", "d")], chat)), controls)
    for name in sorted(str(token) for token in controls.values()):
        text = f"x{name}y {name} {name}"
        messages = _conversation(text if system else "", [(text, text), (text, text)], chat)
        encoded = chat.encode(messages)
        assert _controls_in(encoded, controls) == plain
        assert _decoded(family, kind, encoded.ids).replace("▁", " ").count(name.replace("▁", " ")) >= 3 * len(messages)


def _controls_in(encoded: Encoded, controls: Container[int]) -> Counter[int]:
    return Counter(token for token in encoded.ids if token in controls)


_ROWS: list[Sequence[Message]] = [
    *(golden.messages for golden in golden_conversations()),
    (),
    (Message("system", "x"),),
    (Message("assistant", "x"), Message("user", "y")),
    (Message("user", "x"),),
]


@_EVERY_FAMILY
@pytest.mark.parametrize("loss", [Loss(), Loss("last", "mask")], ids=str)
def test_many_rows_are_encoded_as_each_alone(family: str, loss: Loss) -> None:
    chat = _chat(family, "metaspace in front of the first text")
    for row, found in zip(_ROWS, chat.encode_each(iter(_ROWS), loss), strict=True):
        assert _shown(found) == _shown(_alone(chat, row, loss))


def test_more_rows_than_are_encoded_at_once_stay_in_order() -> None:
    chat = _chat("gemma", "byte level")
    alone = [_shown(_alone(chat, row, Loss())) for row in _ROWS]
    assert [_shown(found) for found in chat.encode_each(_ROWS * 100)] == alone * 100


def _alone(chat: FamilyFormat, row: Sequence[Message], loss: Loss) -> Encoded | TemplateError:
    try:
        return chat.encode(row, loss)
    except TemplateError as error:
        return error


def _shown(found: Encoded | TemplateError) -> Encoded | str:
    return str(found) if isinstance(found, TemplateError) else found
