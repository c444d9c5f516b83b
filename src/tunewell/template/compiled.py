"""A family and a tokenizer compiled once: conversations to token ids and labels, many at a time.

What never changes is encoded when the format is made. A row costs the encoding of its own texts, and the joining of lists.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from tunewell.errors import TemplateError
from tunewell.records import Message
from tunewell.store import digest
from tunewell.template.conversation import EVERY_ANSWER, Loss, Segment, Shape, pieces_of, segments, text_of, thought_length
from tunewell.template.encoded import NOT_TRAINED, Encoded
from tunewell.template.family import Family, Piece
from tunewell.template.jinja import jinja_of
from tunewell.template.plan import Compiled, Edge, compile_pieces, fitted
from tunewell.template.tokens import Place, Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ROWS_AT_ONCE = 1000
_START = Edge(Place.START)
_AFTER_ANSWER = Edge(Place.CONTINUED)


class _Waiting(NamedTuple):
    """A text that is being encoded: where it stands, its number among the texts of that place, and how much is not trained."""

    place: Place
    number: int
    untrained: int = 0


class _Stretch(NamedTuple):
    """A segment of one row."""

    parts: list[list[int] | _Waiting]
    segment: Segment


_Plan = list[_Stretch] | TemplateError
_Encodings = Sequence[Any]


class FamilyFormat:
    """Encodes conversations under a prompt family; trains answers and the end token after each.

    Everything up to an answer is encoded as a server encodes it, and the answer from there on: the prompt is a prefix of the
    conversation by construction. Control tokens inside a message are encoded as plain text.
    """

    def __init__(self, family: Family, tokenizer: "PreTrainedTokenizerBase", *, where: str = "template") -> None:
        self._tokenizer = tokenizer
        self._tokens = Tokens(tokenizer, family.tokens, where=where)
        self.family = fitted(family, self._tokens)
        self._compiled: dict[tuple[Shape, Edge], Compiled] = {}
        self._end = _constant(compile_pieces(family.end, _AFTER_ANSWER, self._tokens))
        if not self._end:
            raise TemplateError(
                f"`{family.name}` has no end token under this tokenizer", where=where, hint="such a model never stops"
            )

    @property
    def name(self) -> str:
        """The family's name."""
        return self.family.name

    @property
    def description(self) -> str:
        """The family's name."""
        return self.family.name

    @cached_property
    def hash(self) -> str:
        """32 hex digits that change when the family or the ids of its tokens change."""
        return digest([self.family.hash, [self._tokens.ids_of(piece) for piece in self.family.tokens]])

    @cached_property
    def stop_ids(self) -> frozenset[int]:
        """Ids that end an answer: the last of its end, the family's stop tokens, the tokenizer's end of sequence."""
        named = [self._tokens.named(name) for name in self.family.stop]
        return frozenset({self._end[-1], *self._tokens.stops, *(token for token in named if token is not None)})

    def jinja(self) -> str:
        """The family as a chat template for the tokenizer, with marks around what is trained."""
        return jinja_of(self.family, self.names)

    def text(self, messages: Sequence[Message]) -> str:
        """The conversation as text, as a server would tokenise it; it ends with the generation prompt after a question."""
        return text_of(self.family, messages, self.names)

    @cached_property
    def names(self) -> dict[Piece, str]:
        """The name of each token of the family under this tokenizer, as it stands in a text that is tokenised whole."""
        return {piece: self._tokens.name_of(piece) for piece in self.family.tokens}

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """The token ids after which the model writes its answer; `messages` ends with a question."""
        return self.encode(messages).ids

    def answer_ids(self, text: str) -> list[int]:
        """An answer as token ids, as it stands after a generation prompt, without its end token."""
        encoded = self.encode((Message("user", "?"), Message("assistant", text)))
        start = next((place for place, label in enumerate(encoded.labels) if label != NOT_TRAINED), len(encoded.ids))
        return encoded.ids[start : len(encoded.ids) - len(self._end)]

    def decode(self, ids: Sequence[int]) -> str:
        """Generated ids as text, control tokens left out."""
        return cast("str", self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def encode(self, messages: Sequence[Message], loss: Loss = EVERY_ANSWER) -> Encoded:
        """Ids and labels of one conversation. Raises `TemplateError` where the family refuses it."""
        texts = _no_texts()
        plan = self._plan(messages, loss, texts)
        encoded = self._joined(plan, self._encode_texts(texts, loss))
        if isinstance(encoded, TemplateError):
            raise encoded
        return encoded

    def encode_each(self, rows: Iterable[Sequence[Message]], loss: Loss = EVERY_ANSWER) -> Iterator[Encoded | TemplateError]:
        """Ids and labels of every conversation, in order; the reason in place of one that the family refuses. Streams."""
        with ThreadPoolExecutor(1) as worker:
            # While the texts of one group are being encoded, which does not hold Python's lock, the group before it is joined.
            before: list[_Plan] = []
            encodings: Future[list[_Encodings]] | None = None
            remaining = iter(rows)
            while group := list(islice(remaining, _ROWS_AT_ONCE)):
                texts = _no_texts()
                plans = [self._plan(messages, loss, texts) for messages in group]
                being_encoded = worker.submit(self._encode_texts, texts, loss)
                if encodings is not None:
                    yield from map(self._joined, before, repeat(encodings.result()))
                before, encodings = plans, being_encoded
            if encodings is not None:
                yield from map(self._joined, before, repeat(encodings.result()))

    def _encode_texts(self, texts: Sequence[dict[str, int]], loss: Loss) -> list[_Encodings]:
        offsets = loss.reasoning == "mask"
        return [self._tokens.encode_all(list(filled), place, offsets=offsets) for place, filled in zip(Place, texts, strict=True)]

    def _plan(self, messages: Sequence[Message], loss: Loss, texts: Sequence[dict[str, int]]) -> _Plan:
        """The row's segments; its own texts are added to the texts of their places, each once, with its number."""
        try:
            found = segments(self.family, messages, loss)
        except TemplateError as error:
            return error
        plan: list[_Stretch] = []
        edge = _START
        for segment in found:
            atoms, edge = self._compile(segment.shape, edge)
            parts: list[list[int] | _Waiting] = []
            for atom in atoms:
                if isinstance(atom, list):
                    parts.append(atom)
                else:
                    waiting, text = texts[atom.place], atom.filled(segment.values)
                    untrained = thought_length(text) if segment.trained and loss.reasoning == "mask" else 0
                    parts.append(_Waiting(atom.place, waiting.setdefault(text, len(waiting)), untrained))
            plan.append(_Stretch(parts, segment))
        return plan

    def _compile(self, shape: Shape, edge: Edge) -> Compiled:
        known = self._compiled.get((shape, edge))
        if known is None:
            known = self._compiled[shape, edge] = compile_pieces(pieces_of(self.family, shape), edge, self._tokens)
        return known

    def _joined(self, plan: _Plan, encodings: Sequence[_Encodings]) -> Encoded | TemplateError:
        if isinstance(plan, TemplateError):
            return plan
        ids: list[int] = []
        labels: list[int] = []
        end_is_due = False
        for parts, segment in plan:
            start = len(ids)
            untrained = 0
            for part in parts:
                if isinstance(part, list):
                    ids += part
                    continue
                encoding = encodings[part.place][part.number]
                if part.untrained:
                    untrained = len(ids) - start + sum(end <= part.untrained for _, end in encoding.offsets)
                ids += encoding.ids
            labels += ids[start:] if segment.trained else [NOT_TRAINED] * (len(ids) - start)
            labels[start : start + untrained] = [NOT_TRAINED] * untrained
            if end_is_due and start < len(ids):
                labels[start] = self._end[0]
            end_is_due = segment.trained and not segment.shape.is_last and self.family.past_end is not None
        return Encoded(ids, labels)


def _no_texts() -> list[dict[str, int]]:
    """For each place the texts to be encoded there, with their numbers."""
    return [{} for _ in Place]


def _constant(compiled: Compiled) -> list[int]:
    """The ids of a segment without contents."""
    return [token for atom in compiled.atoms if isinstance(atom, list) for token in atom]
