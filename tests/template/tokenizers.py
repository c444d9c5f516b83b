"""Tokenizers of every kind that a prompt can meet: small trained ones with a family's tokens, and those of mistral-common."""

import importlib.util
import json
import shutil
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import LlamaTokenizerFast, PreTrainedTokenizerFast

from tunewell.template import Family

_TEXTS = [
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful answers to questions.",
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Response:",
    "Human: Where is my order?\n\nAssistant: It left the warehouse this morning.\n\n  It will be here on Thursday,  before noon.",
    "USER: Is 91 a prime number? ASSISTANT: No: 91 is 7 times 13. <think>\n\n</think>\n\nYes.\n\n\nuser\nassistant\nsystem\n",
    "退款在五个工作日内到账。是的，周末照常营业。今天早上已经出库。问：答：",
]
_SPECIALS = ("<unk>", "<s>", "</s>")
_RESERVED = tuple(f"<reserved_{number - 93}>" for number in range(len(_SPECIALS), 200))
"""Plain pieces of the vocabulary, named as Baichuan names the tokens that stand for the user (195) and the assistant (196)."""
_VOCABULARY = 1000


class Kind(NamedTuple):
    """How a tokenizer treats the front of a text, and whether it adds a beginning-of-sequence token of its own accord."""

    make: Callable[[], Tokenizer]
    adds_bos: bool = False
    tokens_strip: bool = False


def _byte_level(*, add_prefix_space: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY, special_tokens=[*_SPECIALS, *_RESERVED], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_TEXTS, trainer)
    made = Tokenizer(tokenizer.model)
    made.add_special_tokens(list(_SPECIALS))
    made.pre_tokenizer, made.decoder = tokenizer.pre_tokenizer, tokenizer.decoder
    return made


def _sentence_piece() -> Tokenizer:
    """As SentencePiece makes them: spaces as ▁, bytes for what the vocabulary lacks, merges over white space and word alike."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("(?=▁)|(?<=\n)|(?=\n)"), "isolated")
    octets = [f"<0x{octet:02X}>" for octet in range(256)]
    specials = [*_SPECIALS, *_RESERVED, *octets]
    tokenizer.train_from_iterator(
        [text.replace("\n", " ") for text in _TEXTS],
        trainers.BpeTrainer(vocab_size=_VOCABULARY, special_tokens=specials, show_progress=False),
    )
    made = Tokenizer(tokenizer.model)
    made.add_special_tokens(list(_SPECIALS))
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(content=" ", left=1, right=0)]
    )
    return made


def _metaspace(scheme: str) -> Tokenizer:
    tokenizer = _sentence_piece()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=scheme, split=False)
    return tokenizer


def _prepend() -> Tokenizer:
    """As transformers first converted Llama's: the space in front is put there by a normaliser, after special tokens too."""
    tokenizer = _sentence_piece()
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return tokenizer


def _converted() -> Tokenizer:
    tokenizer = _metaspace("always")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(" ", "▁"), normalizers.Replace(Regex(r"\A▁"), "▁▁")])
    return tokenizer


KINDS: Mapping[str, Kind] = {
    "byte level": Kind(lambda: _byte_level(add_prefix_space=False)),
    "byte level, a space in front": Kind(lambda: _byte_level(add_prefix_space=True)),
    "metaspace in front of the first text": Kind(lambda: _metaspace("first"), adds_bos=True),
    "metaspace in front of every text": Kind(lambda: _metaspace("always")),
    "as transformers converts SentencePiece": Kind(_converted),
    "a space put in front by a normaliser": Kind(_prepend, adds_bos=True),
    "special tokens that strip": Kind(_prepend, tokens_strip=True),
}
BYTE_LEVEL = ("byte level", "byte level, a space in front")


@cache
def _trained(kind: str) -> Tokenizer:
    return KINDS[kind].make()


@cache
def tokenizer_of(kind: str, tokens: tuple[str, ...] = (), plain: tuple[str, ...] = ()) -> PreTrainedTokenizerFast:
    """A tokenizer of a kind with more tokens: special ones, and `plain` ones that it does not count among the special.

    It is shared: copy it before changing it.
    """
    strips = KINDS[kind].tokens_strip
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=_trained(kind), bos_token="<s>", eos_token="</s>", unk_token="<unk>", clean_up_tokenization_spaces=False
    )
    backend = wrapped.backend_tokenizer
    backend.add_special_tokens([AddedToken(token, rstrip=strips, normalized=False) for token in tokens if token not in _SPECIALS])
    backend.add_tokens([AddedToken(token, rstrip=strips, normalized=False) for token in plain])
    if KINDS[kind].adds_bos:
        backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return wrapped


def family_tokenizer(family: Family, kind: str) -> PreTrainedTokenizerFast:
    """A tokenizer of a kind that has the tokens of a family; those that the family knows by their ids are no special ones."""
    named = tuple(str(piece.value) for piece in family.tokens if piece.kind == "token")
    reserved = tuple(_RESERVED[int(piece.value) - len(_SPECIALS)] for piece in family.tokens if piece.kind == "id")
    return tokenizer_of(kind, named, reserved)


MISTRAL_FILES = {
    "v1": "tokenizer.model.v1",
    "v3": "mistral_instruct_tokenizer_240323.model.v3",
    "v7": "mistral_instruct_tokenizer_241114.model.v7",
}


def mistral_tokenizer(version: str, folder: Path) -> PreTrainedTokenizerFast:
    """A tokenizer of mistral-common as transformers converts it, but with its merges in order; `folder` is an empty one.

    transformers 5.24 orders merges by the ids of their pieces, where SentencePiece goes by scores: in Mistral's vocabularies the
    runs of spaces have the first ids and the lowest scores.
    """
    from sentencepiece import SentencePieceProcessor

    spec = importlib.util.find_spec("mistral_common")
    assert spec is not None, "the package mistral-common is wanted"
    assert spec.submodule_search_locations
    path = folder / "tokenizer.model"
    shutil.copy(Path(spec.submodule_search_locations[0]) / "data" / MISTRAL_FILES[version], path)
    pieces = SentencePieceProcessor(model_file=str(path))
    whole = json.loads(LlamaTokenizerFast.from_pretrained(folder).backend_tokenizer.to_str())
    whole["model"]["merges"].sort(key=lambda pair: -pieces.GetScore(pieces.PieceToId("".join(pair))))
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(whole)), bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def legacy(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """The tokenizer, changed in place: a space in front of every text between special tokens, as in its first conversions."""
    backend = tokenizer.backend_tokenizer
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.pre_tokenizer = None
    return tokenizer


def converted(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """The tokenizer, changed in place, as transformers 5 converts a bare tokenizer.model: every text gets a space more."""
    backend = tokenizer.backend_tokenizer
    backend.normalizer = normalizers.Sequence([normalizers.Replace(" ", "▁"), normalizers.Replace(Regex(r"\A▁"), "▁▁")])
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    return tokenizer
