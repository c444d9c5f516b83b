"""A segment of a family compiled for a tokenizer: ids that never change, and texts that wait for their contents."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from tunewell.template.conversation import shown
from tunewell.template.family import ADDED_BOS, Family, Piece, Pieces
from tunewell.template.tokens import Place, Tokens

_TOKENS = ("token", "id", "special")
_WHITE_SPACE = "".join(sign for sign in map(chr, range(0x3001)) if sign.isspace() and not "\x1c" <= sign <= "\x1f")
"""As the library `tokenizers` has it: without the four separators that Python counts in."""


class Edge(NamedTuple):
    """What stands to the left: where a text would stand, and whether the white space in front of it is taken."""

    place: Place
    strips: bool = False


class Text(NamedTuple):
    """A text with contents in it, as a format string; where it stands, and whether its ends are stripped of white space."""

    form: str
    fields: tuple[Piece, ...]
    place: Place
    strip_left: bool
    strip_right: bool

    def filled(self, values: Mapping[str, str | int]) -> str:
        """The text with its contents."""
        text = self.form % tuple([shown(piece, values) for piece in self.fields])
        text = text.lstrip(_WHITE_SPACE) if self.strip_left else text
        return text.rstrip(_WHITE_SPACE) if self.strip_right else text


Atom = list[int] | Text


class Compiled(NamedTuple):
    """A segment: ids and texts in turn, and what stands to the left of the segment after it."""

    atoms: list[Atom]
    edge: Edge


def fitted(family: Family, tokens: Tokens) -> Family:
    """The family without the spaces that the tokenizer puts after a special token by itself; else they would stand there twice."""
    if not tokens.doubles_a_space:
        return family
    asks = [part for part in (family.turn, family.first, family.last, family.single, family.with_input, family.suffix) if part]
    after_token = all(part[-1].kind in _TOKENS for part in asks)
    return replace(
        family,
        system=_without_spaces(family.system),
        first=_without_spaces(family.first),
        last=_without_spaces(family.last),
        turn=_without_spaces(family.turn),
        answer=_without_spaces(family.answer, after_token=after_token),
    )


def _without_spaces(pieces: Pieces, *, after_token: bool = False) -> Pieces:
    kept: list[Piece] = []
    for piece in pieces:
        text = piece.text.removeprefix(" ") if piece.kind == "text" and after_token else piece.text
        after_token = piece.kind in _TOKENS
        if piece.kind != "text":
            kept.append(piece)
        elif text:
            kept.append(Piece("text", text, text))
    return tuple(kept)


def compile_pieces(pieces: Sequence[Piece], edge: Edge, tokens: Tokens) -> Compiled:
    """Encode what never changes in a segment. Raises `TemplateError` where the tokenizer lacks a token."""
    atoms: list[Atom] = []
    waiting: list[Piece] = []
    for piece in pieces:
        if piece.kind not in _TOKENS:
            waiting.append(piece)
            continue
        if ids := tokens.ids_of(piece):
            takes = tokens.strips(piece)
            _append_text(atoms, waiting, edge, tokens, strip_right=takes.left)
            _append_ids(atoms, ids)
            # A token that the tokenizer adds of its own accord comes in front of a text that was encoded as the first.
            place = Place.START if piece.value == ADDED_BOS else Place.AFTER_SPECIAL
            waiting, edge = [], Edge(place, takes.right)
    edge = _append_text(atoms, waiting, edge, tokens, strip_right=False)
    return Compiled(atoms, edge)


def _append_text(atoms: list[Atom], pieces: Sequence[Piece], edge: Edge, tokens: Tokens, *, strip_right: bool) -> Edge:
    form = "".join(piece.text.replace("%", "%%") if piece.kind == "text" else "%s" for piece in pieces)
    text = Text(form, tuple(piece for piece in pieces if piece.kind != "text"), edge.place, edge.strips, strip_right)
    if not text.fields:
        constant = text.filled({})
        if not constant:
            return edge
        _append_ids(atoms, tokens.encode(constant, edge.place))
    else:
        atoms.append(text)
    return Edge(Place.CONTINUED)


def _append_ids(atoms: list[Atom], ids: list[int]) -> None:
    if atoms and isinstance(atoms[-1], list):
        atoms[-1] = atoms[-1] + ids
    else:
        atoms.append(ids)
