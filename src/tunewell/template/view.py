"""An encoded conversation for a person to look at: what is trained, and where the special tokens stand."""

from typing import TYPE_CHECKING, NamedTuple, cast

from tunewell.template.encoded import NOT_TRAINED, Encoded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Span(NamedTuple):
    """A stretch of tokens as text: whether they are trained, and whether it is a special token."""

    text: str
    trained: bool
    special: bool


def spans(encoded: Encoded, tokenizer: "PreTrainedTokenizerBase") -> list[Span]:
    """The conversation in stretches of tokens alike; each special token is a stretch of its own.

    The texts laid end to end are the decoded conversation. White space that a tokenizer keeps inside its tokens stays visible.
    """
    specials = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    found: list[Span] = []
    kinds = [(label != NOT_TRAINED, token in specials) for token, label in zip(encoded.ids, encoded.labels, strict=True)]
    edges = [place for place in range(1, len(kinds)) if kinds[place] != kinds[place - 1] or kinds[place][1]]
    shown = ""
    for end, kind in zip([*edges, len(kinds)], [kinds[place - 1] for place in [*edges, len(kinds)]], strict=True):
        text = cast("str", tokenizer.decode(encoded.ids[:end], clean_up_tokenization_spaces=False))
        found.append(Span(text.removeprefix(shown), *kind))
        shown = text
    return found
