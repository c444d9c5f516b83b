"""The tokenizer's own chat template, compiled to token ids and labels: `template: auto`."""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, cast

from jinja2 import TemplateError as JinjaError

from tunewell.errors import TemplateError
from tunewell.records import Message
from tunewell.store import digest
from tunewell.template.compiled import FamilyFormat
from tunewell.template.conversation import EVERY_ANSWER, Loss, thought_length
from tunewell.template.encoded import NOT_TRAINED, Encoded
from tunewell.template.family import family_names, load_family
from tunewell.template.goldens import golden_conversations

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ROWS_AT_ONCE = 1000


class _Span(NamedTuple):
    """Characters of an answer with its end token, in the text of its conversation."""

    start: int
    end: int


class _Compared(NamedTuple):
    messages: Sequence[Message]
    alike: bool


class TokenizerFormat:
    """Encodes conversations by a tokenizer's own chat template; trains each answer and the end token after it.

    Where a family writes the golden conversations and their prompts as the template does, it encodes every row whose texts the
    template writes alike, which is fast; control tokens inside a message are plain text there. Any other row is followed exactly:
    the text of the conversation up to an answer, rendered with the generation prompt, must be a prefix of the whole, in characters
    and in tokens. A row for which that does not hold is refused, because a served model would then see other tokens than the
    trained one; so is one with control tokens in a message. A row in which a past answer begins with white space is followed even
    where both write it alike: a server encodes that white space together with the prompt before it, a family apart from it. What
    a template writes after the end of the last answer is left out: nothing is learnt there.
    """

    name = "auto"

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", *, where: str = "template") -> None:
        self._tokenizer = tokenizer
        self._where = where
        self._template = _own_template(tokenizer, where=where)
        added = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
        self._controls = sorted(added | set(tokenizer.all_special_tokens), key=lambda token: (-len(token), token))
        self._control = re.compile("|".join(map(re.escape, self._controls)) or r"(?!)")
        self.twin = _twin(self, tokenizer, where=where)
        self.stop_ids = self._find_stop_ids()

    @property
    def description(self) -> str:
        """`auto`, and the family that writes as the template does, where there is one."""
        return f"auto (written as {self.twin.name})" if self.twin else "auto (the tokenizer's own template)"

    @cached_property
    def hash(self) -> str:
        """32 hex digits that change when the template or the control tokens change."""
        return digest([self._template, self._controls])

    def jinja(self) -> str:
        """The tokenizer's template."""
        return self._template

    def text(self, messages: Sequence[Message]) -> str:
        """The conversation as text; it ends with the generation prompt after a question.

        Raises `TemplateError` where the template refuses the conversation (a role it does not know).
        """
        [text] = self._rendered([messages], asks=_asks(messages))
        return text

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """The token ids after which the model writes its answer; `messages` ends with a question. Raises `TemplateError`."""
        if self.twin and self._alike([messages], EVERY_ANSWER)[0]:
            return self.twin.prompt_ids(messages)
        self._refuse_control_tokens(messages)
        return self._ids(self.text(messages))

    def answer_ids(self, text: str) -> list[int]:
        """An answer as token ids, as it stands after a generation prompt, without its end token."""
        if self.twin:
            return self.twin.answer_ids(text)
        encoded = self._followed((Message("user", "?"), Message("assistant", text)), EVERY_ANSWER)
        if isinstance(encoded, TemplateError):
            return self._ids(text)
        return [label for label in encoded.labels if label != NOT_TRAINED][:-1]

    def decode(self, ids: Sequence[int]) -> str:
        """Generated ids as text, control tokens left out."""
        return cast("str", self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def encode(self, messages: Sequence[Message], loss: Loss = EVERY_ANSWER) -> Encoded:
        """Ids and labels of one conversation. Raises `TemplateError` where the labels cannot be derived exactly."""
        [encoded] = self.encode_each([messages], loss)
        if isinstance(encoded, TemplateError):
            raise encoded
        return encoded

    def encode_each(self, rows: Iterable[Sequence[Message]], loss: Loss = EVERY_ANSWER) -> Iterator[Encoded | TemplateError]:
        """Ids and labels of every conversation, in order; the reason in place of one that is refused. Streams."""
        if self.twin is None:
            yield from (self._followed(messages, loss) for messages in rows)
            return
        waiting: deque[_Compared] = deque()
        for encoded in self.twin.encode_each(self._alike_rows(rows, loss, waiting), loss):
            while not (row := waiting.popleft()).alike:
                yield self._followed(row.messages, loss)
            yield encoded
        yield from (self._followed(row.messages, loss) for row in waiting)

    def _alike_rows(self, rows: Iterable[Sequence[Message]], loss: Loss, waiting: deque[_Compared]) -> Iterator[Sequence[Message]]:
        """The conversations that the twin writes as the template does; all of them, compared, are put into `waiting` in order."""
        remaining = iter(rows)
        while group := list(islice(remaining, _ROWS_AT_ONCE)):
            for row in map(_Compared, group, self._alike(group, loss)):
                waiting.append(row)
                if row.alike:
                    yield row.messages

    def _alike(self, rows: Sequence[Sequence[Message]], loss: Loss) -> list[bool]:
        """For each conversation whether the twin writes it as the template does, and every prompt whose answer is trained."""
        parts = [[messages, *_prompts(messages, loss)] for messages in rows]
        ours = iter(self._texts([part for row in parts for part in row]))
        same = [[self._written_alike(part, next(ours)) for part in row] for row in parts]
        return [all(alike) and not _merges(messages) for messages, alike in zip(rows, same, strict=True)]

    def _written_alike(self, messages: Sequence[Message], text: str | None) -> bool:
        if text is None or self.twin is None:
            return False
        try:
            return _same(text, self.twin.text(messages), messages)
        except TemplateError:
            return False

    def _texts(self, conversations: Sequence[Sequence[Message]]) -> list[str | None]:
        """Many conversations as text, None for those that the template refuses."""
        found: list[str | None] = [None] * len(conversations)
        for asks in (False, True):
            places = [place for place, messages in enumerate(conversations) if messages and _asks(messages) == asks]
            try:
                texts: Sequence[str | None] = self._rendered([conversations[place] for place in places], asks=asks)
            except TemplateError:
                texts = [_text_or_none(self, conversations[place]) for place in places]
            for place, text in zip(places, texts, strict=True):
                found[place] = text
        return found

    def _rendered(self, conversations: Sequence[Sequence[Message]], *, asks: bool) -> list[str]:
        turns = [[{"role": message.role, "content": message.content} for message in messages] for messages in conversations]
        try:
            texts = self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=asks) if turns else []
        except (JinjaError, TypeError, ValueError) as error:
            raise TemplateError(f"the chat template refuses this conversation: {error}", where=self._where) from error
        return cast("list[str]", texts)

    def _followed(self, messages: Sequence[Message], loss: Loss) -> Encoded | TemplateError:
        try:
            return self._follow(messages, loss)
        except TemplateError as error:
            return error

    def _follow(self, messages: Sequence[Message], loss: Loss) -> Encoded:
        self._refuse_control_tokens(messages)
        text = self.text(messages)
        encoding = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids = cast("list[int]", encoding["input_ids"])
        offsets = cast("list[tuple[int, int]]", encoding["offset_mapping"])
        labels = [NOT_TRAINED] * len(ids)
        length = len(ids)
        for prompt in _prompts(messages, loss):
            span = self._answer_span(messages, len(prompt), text)
            inside = [at for at, (start, end) in enumerate(offsets) if start >= span.start and end <= span.end and end > start]
            if not inside or self._ids(text[: span.start]) != ids[: inside[0]]:
                hint = "name a family: its answers are encoded apart from their prompts"
                raise TemplateError("the prompt's tokens are not a prefix of the conversation's", where=self._where, hint=hint)
            begin = span.start + (thought_length(text[span.start : span.end]) if loss.reasoning == "mask" else 0)
            for at in inside:
                if offsets[at][1] > begin:
                    labels[at] = ids[at]
            if len(prompt) == len(messages) - 1:
                length = inside[-1] + 1
        return Encoded(ids[:length], labels[:length])

    def _answer_span(self, messages: Sequence[Message], index: int, text: str) -> _Span:
        """Where an answer and its end token stand in the text of the whole conversation."""
        prompt, upto = self.text(messages[:index]), self.text(messages[: index + 1])
        hint = "the template rewrites earlier turns: `train.answers: last` trains the last answer alone; or name a family"
        if not upto.startswith(prompt):
            raise TemplateError("the prompt is not a prefix of the conversation under this template", where=self._where, hint=hint)
        answer = messages[index].content.strip()
        if answer not in upto[len(prompt) :]:
            raise TemplateError("the answer does not stand in the conversation as it was given", where=self._where, hint=hint)
        end = self._end_of(answer, upto, len(prompt))
        if not text.startswith(upto[:end]):
            raise TemplateError("the prompt is not a prefix of the conversation under this template", where=self._where, hint=hint)
        return _Span(len(prompt), end)

    def _end_of(self, answer: str, text: str, start: int) -> int:
        """Behind the control token that ends an answer; white space alone may stand before it."""
        for found in self._control.finditer(text, start):
            if text[start : found.start()].rstrip().endswith(answer):
                return found.end()
        hint = "such a model never learns to stop"
        raise TemplateError("no end token follows the answer under this template", where=self._where, hint=hint)

    def _refuse_control_tokens(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if found := self._control.search(message.content):
                hint = "let the rule `control_tokens` of clean drop the row: as it stands it would break its conversation"
                what = f"the {message.role} turn holds the control token {found.group()}"
                raise TemplateError(what, where=self._where, hint=hint)

    def _find_stop_ids(self) -> frozenset[int]:
        """Ids that end an answer: the one the template writes after it, and the tokenizer's end of sequence."""
        encoded = self.encode((Message("user", "Hello"), Message("assistant", "Hi")))
        last_trained = next(label for label in reversed(encoded.labels) if label != NOT_TRAINED)
        end_of_sequence = self._tokenizer.eos_token_id
        return frozenset({last_trained} | ({cast("int", end_of_sequence)} if end_of_sequence is not None else set()))

    def _ids(self, text: str) -> list[int]:
        return cast("list[int]", self._tokenizer(text, add_special_tokens=False)["input_ids"])


def _own_template(tokenizer: "PreTrainedTokenizerBase", *, where: str) -> str:
    try:
        return tokenizer.get_chat_template()
    except ValueError as error:
        hint = "take the instruct version of the model, or name a family: `tunewell template list`"
        what = "no chat template" if not tokenizer.chat_template else "several chat templates, none of them the default"
        raise TemplateError(f"the tokenizer has {what}", where=where, hint=hint) from error


def _asks(messages: Sequence[Message]) -> bool:
    return bool(messages) and messages[-1].role == "user"


def _prompts(messages: Sequence[Message], loss: Loss) -> list[Sequence[Message]]:
    """What stands before each answer that is trained."""
    places = [place for place, message in enumerate(messages) if message.role == "assistant"]
    if loss.answers == "last":
        places = [place for place in places if place == len(messages) - 1]
    return [messages[:place] for place in places]


def _merges(messages: Sequence[Message]) -> bool:
    """Whether a past answer begins with white space, which a tokenizer may merge with the end of the prompt before it."""
    return any(message.role == "assistant" and message.content[:1].isspace() for message in messages[:-1])


def _same(own: str | None, by_family: str | None, messages: Sequence[Message]) -> bool:
    """Whether a template writes as a family does; after the end of an answer it may go on."""
    if own is None or by_family is None:
        return own is by_family
    return own == by_family if _asks(messages) else own.startswith(by_family)


def _twin(own: TokenizerFormat, tokenizer: "PreTrainedTokenizerBase", *, where: str) -> FamilyFormat | None:
    """The family that writes as the tokenizer's template does, where one is shipped and the tokenizer has its tokens."""
    asked = [part for golden in golden_conversations() for part in [*_prompts(golden.messages, EVERY_ANSWER), golden.messages]]
    texts = own._texts(asked)
    for name in family_names():
        try:
            family = FamilyFormat(load_family(name), tokenizer, where=where)
            alike = all(_same(text, _text_or_none(family, messages), messages) for text, messages in zip(texts, asked, strict=True))
        except TemplateError:  # the tokenizer lacks a token of this family
            continue
        if alike:
            return family
    return None


def _text_or_none(chat: FamilyFormat | TokenizerFormat, messages: Sequence[Message]) -> str | None:
    try:
        return chat.text(messages)
    except TemplateError:
        return None
