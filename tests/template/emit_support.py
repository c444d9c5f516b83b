"""What the tests of the emitters share: families and conversations by chance, and real tokenizers with the tokens of a family."""

import copy
import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from tunewell.records import Message
from tunewell.template import Family
from tunewell.template.family import Piece, Pieces

_LITERALS = ["Q: ", "\n\n", " {{ \"q' }}", "\\n", "{% if %}", "\t{", "{ \n", "}} -", "\r", '"""', "<|mark|>", "问："]
_CONTENTS = ["", " ", "\n", "a b", "你好", "　", "<think>x</think>\n\n", "{{ x }}", "'", "\\", "{%- endfor %}", '"}}']


def as_dicts(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Messages as a chat template takes them."""
    return [{"role": message.role, "content": message.content} for message in messages]


@st.composite
def conversations(draw: st.DrawFn, *, system: bool) -> list[Message]:
    """A conversation that ends with a question or an answer."""
    content = st.lists(st.sampled_from(_CONTENTS), max_size=4).map("".join)
    front = [Message("system", draw(content))] if system and draw(st.booleans()) else []
    count = draw(st.integers(1, 6))
    return front + [Message(("user", "assistant")[place % 2], draw(content)) for place in range(count)]


@st.composite
def families(draw: st.DrawFn, *, sayable: bool = False) -> Family:
    """A family with any of the parts that a family may have, or with those alone that Ollama can say."""
    texts = st.lists(st.sampled_from(_LITERALS).map(lambda text: Piece("text", text, text)), max_size=2).map(tuple)

    def around(*contents: str) -> Pieces:
        held = [(Piece("content", name, ""), *draw(texts)) for name in contents]
        return (*draw(texts), *(piece for part in held for piece in part))

    def maybe(*contents: str) -> Pieces:
        return around(*contents) if draw(st.booleans()) else ()

    number = () if sayable or draw(st.booleans()) else (Piece("round", draw(st.integers(0, 2)), ""),)
    system, first, last = maybe("system"), maybe("system", "user"), maybe("user", "system")
    return Family(
        name="by-chance",
        source="",
        default_system=draw(st.sampled_from(["", "Be 'kind'.\n"])),
        trim=draw(st.booleans()),
        past_reasoning="keep" if sayable else draw(st.sampled_from(["keep", "drop"])),
        prefix=draw(texts),
        system=system,
        first=first,
        last=last,
        single=maybe("user"),
        turn=number + around("user"),
        with_input=() if sayable else maybe("instruction", "input"),
        suffix=draw(texts),
        answer=around("assistant"),
        end=(Piece("text", "<end>", "<end>"),),
        past_end=draw(st.none() | texts),
        between=draw(texts),
    )


def with_tokens(tokenizer: Any, family: Family) -> Any:
    """A copy of the tokenizer with those tokens of the family that it lacks."""
    from transformers import AddedToken

    own = copy.deepcopy(tokenizer)
    known = own.get_vocab()
    names = [str(piece.value) for piece in family.tokens if piece.kind == "token" and piece.value not in known]
    own.add_tokens([AddedToken(name, special=True, normalized=False) for name in names], special_tokens=True)
    return own


def mistral_tokenizer(name: str, folder: Path) -> Any:
    """One of the tokenizers inside the wheel `mistral-common`, through transformers."""
    from transformers import LlamaTokenizerFast

    spec = find_spec("mistral_common")
    if spec is None or spec.origin is None:
        pytest.skip("the tokenizers of Mistral need the package mistral-common")
    shutil.copy(Path(spec.origin).parent / "data" / name, folder / "tokenizer.model")
    return LlamaTokenizerFast.from_pretrained(folder)


def smollm2_tokenizer() -> Any:
    """The tokenizer of the embedded model."""
    from transformers import AutoTokenizer

    from tunewell.model.locate import EMBEDDED, locate

    return AutoTokenizer.from_pretrained(locate(EMBEDDED))
