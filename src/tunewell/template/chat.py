"""The tokenizer's own chat template, compiled to token ids and labels."""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from jinja2 import TemplateError as JinjaError

from tunewell.errors import TemplateError
from tunewell.records import Message
from tunewell.store import digest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NOT_TRAINED = -100


class Encoded(NamedTuple):
    """Token ids of a conversation, and for each the id to learn there or -100."""

    ids: list[int]
    labels: list[int]


class _Span(NamedTuple):
    start: int
    end: int


class ChatFormat:
    """Encodes conversations by a tokenizer's own chat template; trains each answer and the end token after it.

    What is trained is derived from the template exactly: the text of the conversation up to an assistant turn, rendered with
    the generation prompt, must be a prefix of the whole text, in characters and in tokens. A template for which that does not
    hold is refused, because a served model would then see other tokens than the trained one.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", *, where: str = "model") -> None:
        if not tokenizer.chat_template:
            hint = "take the instruct version of the model, or add a chat_template to its tokenizer"
            raise TemplateError("the tokenizer has no chat template", where=where, hint=hint)
        self._tokenizer = tokenizer
        self._where = where
        self._controls = sorted(
            {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special} | set(tokenizer.all_special_tokens),
            key=len,
            reverse=True,
        )
        self.stop_ids = self._find_stop_ids()

    @property
    def hash(self) -> str:
        """32 hex digits that change when the template or the control tokens change."""
        return digest([self._tokenizer.chat_template, self._controls])

    def text(self, messages: Sequence[Message], *, generation_prompt: bool = False) -> str:
        """The conversation as text. Raises `TemplateError` where the template refuses it (a role it does not know)."""
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            rendered = self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=generation_prompt)
        except JinjaError as error:
            raise TemplateError(f"the chat template refuses this conversation: {error}", where=self._where) from error
        return cast("str", rendered)

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """The token ids after which the model writes its answer. Raises `TemplateError` on control tokens in a message."""
        self._refuse_control_tokens(messages)
        return self._ids(self.text(messages, generation_prompt=True))

    def answer_ids(self, text: str) -> list[int]:
        """An answer as token ids, as it stands after a generation prompt (without its end token)."""
        return self._ids(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Generated ids as text, control tokens left out."""
        return cast("str", self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def spans(self, encoded: Encoded) -> list[tuple[str, bool]]:
        """The conversation as pieces of text with whether they are trained, for a person to look at."""
        runs = groupby(zip(encoded.ids, encoded.labels, strict=True), key=lambda pair: pair[1] != NOT_TRAINED)
        return [(cast("str", self._tokenizer.decode([token for token, _ in run])), trained) for trained, run in runs]

    def encode(self, messages: Sequence[Message]) -> Encoded:
        """Ids and labels of a whole conversation. Raises `TemplateError` where the labels cannot be derived exactly."""
        self._refuse_control_tokens(messages)
        text = self.text(messages)
        encoding = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids = cast("list[int]", encoding["input_ids"])
        offsets = cast("list[tuple[int, int]]", encoding["offset_mapping"])
        labels = [NOT_TRAINED] * len(ids)
        for index, message in enumerate(messages):
            if message.role != "assistant":
                continue
            span = self._answer_span(messages, index, text)
            trained = [
                place for place, (start, end) in enumerate(offsets) if start >= span.start and end <= span.end and end > start
            ]
            if not trained or self._ids(text[: span.start]) != ids[: trained[0]]:
                raise TemplateError("the prompt's tokens are not a prefix of the conversation's", where=self._where)
            for place in trained:
                labels[place] = ids[place]
        return Encoded(ids, labels)

    def _answer_span(self, messages: Sequence[Message], index: int, text: str) -> _Span:
        """Characters of an answer and its end token in the text of the whole conversation."""
        prompt = self.text(messages[:index], generation_prompt=True)
        upto = self.text(messages[: index + 1])
        if not (upto.startswith(prompt) and text.startswith(upto.rstrip("\n"))):
            hint = "the template rewrites earlier turns; train on single-turn rows, or give a family"
            raise TemplateError("the prompt is not a prefix of the conversation under this template", where=self._where, hint=hint)
        content = messages[index].content.strip()
        after_content = text.find(content, len(prompt)) + len(content)
        end = min((place + len(token) for token, place in self._controls_after(text, after_content)), default=-1)
        if end < 0:
            hint = "such a model never learns to stop"
            raise TemplateError("no end token follows the answer under this template", where=self._where, hint=hint)
        return _Span(len(prompt), end)

    def _controls_after(self, text: str, start: int) -> list[tuple[str, int]]:
        gap = 2  # a space or newline may stand between the answer and its end token
        return [(token, place) for token in self._controls if 0 <= (place := text.find(token, start)) <= start + gap]

    def _refuse_control_tokens(self, messages: Sequence[Message]) -> None:
        for message in messages:
            for token in self._controls:
                if token in message.content:
                    hint = "let the rule `control_tokens` of clean drop the row: as it stands it would break its conversation"
                    raise TemplateError(f"the {message.role} turn holds the control token {token}", where=self._where, hint=hint)

    def _find_stop_ids(self) -> frozenset[int]:
        """Ids that end an answer: the one the template writes after it, and the tokenizer's end of sequence."""
        encoded = self.encode((Message("user", "Hello"), Message("assistant", "Hi")))
        last_trained = next(label for label in reversed(encoded.labels) if label != NOT_TRAINED)
        end_of_sequence: Any = self._tokenizer.eos_token_id
        return frozenset({last_trained} | ({end_of_sequence} if end_of_sequence is not None else set()))

    def _ids(self, text: str) -> list[int]:
        return cast("list[int]", self._tokenizer(text, add_special_tokens=False)["input_ids"])
