"""Tokens and texts as a person can compare them: every token apart, line breaks and spaces visible."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from tunewell.text import visible

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BEFORE, _AFTER = 4, 3
_CHARS_BEFORE, _CHARS_AFTER = 24, 32
_ESCAPES = str.maketrans({"\n": "\\n", "\t": "\\t", "\r": "\\r"})
_HALF_CHARACTER = "\ufffd"


def difference_shown(ours: Sequence[int], theirs: Sequence[int], place: int, tokenizer: "PreTrainedTokenizerBase") -> str:
    """Both lists around the token at which they part."""
    return f"token {place + 1}: {tokens_shown(ours, place, tokenizer)} against {tokens_shown(theirs, place, tokenizer)}"


def tokens_shown(ids: Sequence[int], place: int, tokenizer: "PreTrainedTokenizerBase") -> str:
    """A few tokens around a place, each in brackets, the one at the place in double ones."""
    start = max(0, place - _BEFORE)
    shown = ["…"] if start else []
    for at, token in enumerate(ids[start : place + _AFTER], start):
        text = token_shown(token, tokenizer)
        shown.append(f"«{text}»" if at == place else f"‹{text}›")
    if place >= len(ids):
        shown.append("(ends here)")
    elif place + _AFTER < len(ids):
        shown.append("…")
    return "".join(shown)


def token_shown(token: int, tokenizer: "PreTrainedTokenizerBase") -> str:
    """One token as text with its spaces; by its name where it is half a character, by its id where there is no such token."""
    if not 0 <= token < len(tokenizer):
        return f"id {token}"
    added = tokenizer.added_tokens_decoder.get(token)
    if added is not None:
        return one_line(str(added))
    # Alone, a token of some tokenizers loses the space in front of it.
    front = 0 if tokenizer.eos_token_id is None else cast("int", tokenizer.eos_token_id)
    text = cast("str", tokenizer.decode([front, token])).removeprefix(cast("str", tokenizer.decode([front])))
    return one_line(cast("str", tokenizer.convert_ids_to_tokens(token)) if _HALF_CHARACTER in text else text)


def parting_shown(ours: str, theirs: str) -> str:
    """Two texts around the place where they part."""
    place = parting(ours, theirs)
    return f"“{_around(ours, place)}” against “{_around(theirs, place)}”"


def parting(ours: str, theirs: str) -> int:
    """The first place in which two texts differ."""
    pairs = enumerate(zip(ours, theirs, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(ours), len(theirs)))


def one_line(text: str) -> str:
    """The text on one line, as a terminal may show it."""
    return visible(text.translate(_ESCAPES))


def _around(text: str, place: int) -> str:
    start = max(0, place - _CHARS_BEFORE)
    end = place + _CHARS_AFTER
    return one_line(f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}")
