"""A tokenizer as a family needs it: token ids of names, and text encoded as it stands between special tokens."""

import json
from collections.abc import Container, Mapping, Sequence
from enum import IntEnum
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from tokenizers import AddedToken, Tokenizer, models

from tunewell.errors import TemplateError
from tunewell.template.family import ADDED_BOS, Piece

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


# How transformers writes that a space in front of a text is kept beside the one which SentencePiece puts there.
_AT_THE_START = "\\A"


class Place(IntEnum):
    """Where a text stands: some tokenizers put a space in front of a text at the start, or after a special token."""

    START = 0
    AFTER_SPECIAL = 1
    CONTINUED = 2


class Sides(NamedTuple):
    """What holds on the left and on the right of something."""

    left: bool
    right: bool


class Tokens:
    """The tokens of one tokenizer. Texts are encoded without special tokens: a control token inside a text stays plain text.

    So do the tokens of a family (`pieces`), which some tokenizers do not count among their special ones.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", pieces: Sequence[Piece] = (), *, where: str) -> None:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            hint = "a folder with a tokenizer.json, or one that transformers converts, is wanted"
            raise TemplateError("the tokenizer has no `tokenizers` backend, which compiling a prompt needs", where=where, hint=hint)
        self._tokenizer = tokenizer
        self._where = where
        self._backend = backend
        self._added = backend.get_added_tokens_decoder()
        self._controls = frozenset(number for piece in pieces for number in self.ids_of(piece))

    @property
    def stops(self) -> list[int]:
        """The tokenizer's own end of sequence, where it has one."""
        own = self._tokenizer.eos_token_id
        return [] if own is None else [cast("int", own)]

    @property
    def doubles_a_space(self) -> bool:
        """Whether a space of its own comes in front of a text after a special token, even where that text begins with one."""
        return self.encode(" a", Place.AFTER_SPECIAL) != self.encode(" a", Place.CONTINUED)

    def named(self, name: str) -> int | None:
        """The id of a token by its name, or None where the vocabulary has no such token."""
        return self._backend.token_to_id(name)

    def ids_of(self, piece: Piece) -> list[int]:
        """The token that a piece stands for. Raises `TemplateError` where the tokenizer has none."""
        match piece.kind:
            case "id":
                return [self._checked(int(piece.value))]
            case "token":
                found = self.named(str(piece.value))
                if found is None:
                    hint = "take a family of this tokenizer, or `template: auto`"
                    raise TemplateError(f"the tokenizer has no token `{piece.value}`", where=self._where, hint=hint)
                return [found]
            case _:
                return self._special(str(piece.value))

    def name_of(self, piece: Piece) -> str:
        """The token of a piece as it stands in a text that is tokenised whole. Raises `TemplateError` as `ids_of` does."""
        ids = self.ids_of(piece)
        name = "".join(self._added[number].content if number in self._added else self._decoded(number) for number in ids)
        # What the tokenizer puts in front of a first text alone must be written where a token stands before that text.
        return f"{name} " if name and piece.value == ADDED_BOS and self._starts_otherwise() else name

    def strips(self, piece: Piece) -> Sides:
        """Whether the token of a piece takes the white space beside it."""
        token = next((self._added[number] for number in self.ids_of(piece) if number in self._added), None)
        return Sides(token.lstrip, token.rstrip) if token else Sides(left=False, right=False)

    def encode(self, text: str, place: Place) -> list[int]:
        """One text as token ids."""
        return self._backends[place].encode(text, add_special_tokens=False).ids

    def encode_all(self, texts: Sequence[str], place: Place, *, offsets: bool = False) -> list[Any]:
        """Many texts as encodings, on all cores; their `ids` are the tokens. The fast way leaves out their `offsets`."""
        backend = self._backends[place]
        encode = backend.encode_batch if offsets else backend.encode_batch_fast
        return cast("list[Any]", encode(texts, add_special_tokens=False))

    @cached_property
    def _backends(self) -> list[Tokenizer]:
        return _backends(self._backend, self._added, self._controls)

    def _starts_otherwise(self) -> bool:
        return self._backends[Place.START] is not self._backends[Place.AFTER_SPECIAL]

    def _decoded(self, number: int) -> str:
        return cast("str", self._tokenizer.decode([number]))

    def _checked(self, number: int) -> int:
        if self._backend.id_to_token(number) is None:
            raise TemplateError(f"the tokenizer has no token with the id {number}", where=self._where)
        return number

    def _special(self, name: str) -> list[int]:
        if name == ADDED_BOS:
            bos = self._tokenizer.bos_token_id
            return [cast("int", bos)] if bos is not None and self._tokenizer("a")["input_ids"][:1] == [bos] else []
        found = getattr(self._tokenizer, f"{name}_token_id")
        if found is None:
            long_name = {"bos": "beginning-of-sequence", "eos": "end-of-sequence"}[name]
            raise TemplateError(f"the tokenizer has no {long_name} token, which this family needs", where=self._where)
        return [cast("int", found)]


def _backends(backend: Tokenizer, added: Mapping[int, AddedToken], controls: Container[int]) -> list[Tokenizer]:
    """A tokenizer for each place, all with the vocabulary of the one given, which is not copied; equal ones are one."""
    shell = Tokenizer(models.BPE())
    shell.normalizer = backend.normalizer
    shell.pre_tokenizer = backend.pre_tokenizer
    whole = json.loads(shell.to_str())
    sources = [json.dumps(whole | {key: _at(whole[key], place) for key in ("normalizer", "pre_tokenizer")}) for place in Place]
    made = {source: Tokenizer.from_str(source) for source in sources}
    for copy in made.values():
        copy.model = backend.model
        numbers = sorted(added)  # a tokenizer numbers its added tokens by itself, in their order
        for special, run in groupby(numbers, key=lambda number: added[number].special or number in controls):
            (copy.add_special_tokens if special else copy.add_tokens)([added[number] for number in run])
        assert sorted(copy.get_added_tokens_decoder()) == numbers, "an added token has another id"
        copy.encode_special_tokens = True
    return [made[source] for source in sources]


def _at(part: Any, place: Place) -> Any:
    """A part of the tokenizer, without what it puts in front of a text where the text does not stand at the start."""
    return part if place is Place.START else _without_front(part, place)


def _without_front(part: Any, place: Place) -> Any:
    if not isinstance(part, dict):
        return part
    match part.get("type"):
        case "Sequence":
            key = "normalizers" if "normalizers" in part else "pretokenizers"
            kept = [changed for inner in part[key] if (changed := _without_front(inner, place)) is not None]
            return part | {key: kept}
        case "Metaspace" if part["prepend_scheme"] == "first" or place is Place.CONTINUED:
            return part | {"prepend_scheme": "never"}
        case "Prepend" if place is Place.CONTINUED:
            return None
        case "Replace" if place is Place.CONTINUED and str(part["pattern"].get("Regex", "")).startswith(_AT_THE_START):
            return None
        case "ByteLevel" if place is Place.CONTINUED and part.get("add_prefix_space"):
            return part | {"add_prefix_space": False}
        case _:
            return part
