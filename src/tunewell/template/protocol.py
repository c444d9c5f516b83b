"""What every prompt format offers, whether a family was compiled or the tokenizer's own template is followed."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from tunewell.errors import TemplateError
from tunewell.records import Message
from tunewell.template.conversation import EVERY_ANSWER, Loss
from tunewell.template.encoded import Encoded


class PromptFormat(Protocol):
    """Conversations as the token ids of one tokenizer, and which of them are trained."""

    @property
    def name(self) -> str:
        """The family's name, or `auto`."""

    @property
    def description(self) -> str:
        """The name, and for `auto` the family that writes as the tokenizer's template does, where there is one."""

    @property
    def hash(self) -> str:
        """32 hex digits that change when a prompt of this format would."""

    @property
    def stop_ids(self) -> frozenset[int]:
        """Ids that end an answer."""

    def jinja(self) -> str:
        """The format as a chat template for the tokenizer's configuration."""

    def text(self, messages: Sequence[Message]) -> str:
        """The conversation as text; it ends with the generation prompt after a question. Raises `TemplateError`."""

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """The token ids after which the model writes its answer; `messages` ends with a question. Raises `TemplateError`."""

    def answer_ids(self, text: str) -> list[int]:
        """An answer as token ids, as it stands after a generation prompt, without its end token."""

    def encode(self, messages: Sequence[Message], loss: Loss = EVERY_ANSWER) -> Encoded:
        """Ids and labels of one conversation. Raises `TemplateError` where the format refuses it."""

    def encode_each(self, rows: Iterable[Sequence[Message]], loss: Loss = EVERY_ANSWER) -> Iterator[Encoded | TemplateError]:
        """Ids and labels of every conversation, in order; the reason in place of one that is refused. Streams."""

    def decode(self, ids: Sequence[int]) -> str:
        """Generated ids as text, control tokens left out."""
