"""The tokenizer of an old checkpoint as a tokenizer.json, which needs no code of its own."""

import json
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, processors
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import SpmConverter, import_protobuf

from tunewell.errors import ModelError
from tunewell.model.convert.layout import TokenizerRules
from tunewell.store import write_json

_PLAIN = ("tokenizer.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja")
_CONTROL = 3  # the type of a control piece in a SentencePiece file


def convert_tokenizer(source: Path, target: Path, rules: TokenizerRules, *, vocab_size: int) -> str:
    """Write a tokenizer that needs no remote code. Returns what the user should know, or an empty text."""
    settings = _read_settings(source / "tokenizer_config.json")
    if (source / "tokenizer.json").exists():
        _copy_plain(source, target)
        kept = {key: value for key, value in settings.items() if key not in {"auto_map", "tokenizer_class"}}
        write_json(target / "tokenizer_config.json", kept | {"tokenizer_class": "PreTrainedTokenizerFast"})
        return ""
    pieces = source / "tokenizer.model"
    if not pieces.exists():
        return f"no tokenizer was found in {source}: neither tokenizer.json nor tokenizer.model"
    shutil.copyfile(pieces, target / pieces.name)
    try:
        proto = import_protobuf().ModelProto()
    except ImportError:
        return _left("writing tokenizer.json needs `pip install protobuf`; then run this again")
    _parse(pieces, proto)
    named = {**rules.named, **_named(settings)}
    problem = _problem([piece.piece for piece in proto.pieces], rules, named, vocab_size=vocab_size)
    if problem:
        return _left(problem)
    prefix = rules.prefix if settings.get("add_bos_token", True) else ()
    _from_sentencepiece(proto, rules, named, prefix).save_pretrained(target)
    return ""


def _left(why: str) -> str:
    return f"tokenizer.model was copied as it is, without a tokenizer.json: {why}"


def _read_settings(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ModelError("this is no JSON object", where=str(path), hint="fetch this file again") from error


def _copy_plain(source: Path, target: Path) -> None:
    for name in _PLAIN:
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)


def _parse(path: Path, proto: Any) -> None:
    try:
        proto.ParseFromString(path.read_bytes())
    except Exception as error:  # protobuf's own error, of a package that need not be installed
        raise ModelError("this is no SentencePiece file", where=str(path), hint="fetch this file again") from error


def _named(settings: Mapping[str, Any]) -> dict[str, str]:
    """The tokens with a role that tokenizer_config.json names, as texts or as dictionaries."""
    given = {role: settings[role] for role in ("unk_token", "bos_token", "eos_token", "pad_token") if settings.get(role)}
    return {role: token if isinstance(token, str) else str(token["content"]) for role, token in given.items()}


def _problem(pieces: list[str], rules: TokenizerRules, named: Mapping[str, str], *, vocab_size: int) -> str:
    """Why the special tokens cannot have the ids that the old code gave them, or an empty text."""
    tokens = [*pieces, *rules.appended]
    twice = [token for token, count in Counter(tokens).items() if count > 1]
    if twice:
        return f"`{twice[0]}` stands for two ids"
    unknown = sorted(set(named.values()) - set(tokens))
    if unknown:
        return f"`{unknown[0]}` of tokenizer_config.json has no id"
    return f"it has {len(tokens)} tokens and the model {vocab_size}" if len(tokens) > vocab_size else ""


def _from_sentencepiece(
    proto: Any, rules: TokenizerRules, named: Mapping[str, str], prefix: tuple[str, ...]
) -> PreTrainedTokenizerFast:
    vocabulary = {piece.piece: number for number, piece in enumerate(proto.pieces)}
    tokenizer = SpmConverter.build_tokenizer_from_spm_proto(proto, vocabulary)
    control = [piece.piece for piece in proto.pieces if piece.type == _CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in (*control, *rules.appended)])
    if prefix:
        ids = [(token, tokenizer.token_to_id(token)) for token in prefix]
        before = " ".join(prefix)
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{before} $A", pair=f"{before} $A $B", special_tokens=ids)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        padding_side=rules.padding_side,
        split_special_tokens=rules.hidden,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
        **named,
    )
