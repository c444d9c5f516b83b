"""Tokenizers of old checkpoints: the ids of SentencePiece, with the special tokens that the old code added by itself."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer
from transformers.convert_slow_tokenizer import import_protobuf

from tunewell.errors import ModelError
from tunewell.model.convert import baichuan, chatglm
from tunewell.model.convert import tokenizer as module
from tunewell.model.convert.tokenizer import convert_tokenizer

pytest.importorskip("google.protobuf", reason="tokenizer.model is read through protobuf")

_NORMAL, _UNKNOWN, _CONTROL, _USER, _BYTE = 1, 2, 3, 4, 6
_PIECES = ["▁", "a", "e", "s", "o", "p", "so", "sor", "▁a"]


def _sentencepiece(path: Path, *, user: str = "") -> dict[str, int]:
    """A small BPE model with bytes for what it does not know; returns the ids of its pieces."""
    proto = import_protobuf().ModelProto()
    proto.trainer_spec.model_type = 2
    proto.trainer_spec.byte_fallback = True
    proto.trainer_spec.unk_piece = "<unk>"
    proto.normalizer_spec.add_dummy_prefix = True
    proto.normalizer_spec.remove_extra_whitespaces = False
    proto.normalizer_spec.escape_whitespaces = True
    kinds = [("<unk>", _UNKNOWN), ("<s>", _CONTROL), ("</s>", _CONTROL), *((f"<0x{n:02X}>", _BYTE) for n in range(256))]
    kinds += [(piece, _NORMAL) for piece in _PIECES] + ([(user, _USER)] if user else [])
    for rank, (text, kind) in enumerate(kinds):
        piece = proto.pieces.add()
        piece.piece, piece.type, piece.score = text, kind, float(-rank) if kind == _NORMAL else 0.0
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(proto.SerializeToString())
    return {text: number for number, (text, _) in enumerate(kinds)}


def _converted(tmp_path: Path, rules: Any, config: dict[str, Any], settings: dict[str, Any] | None = None) -> Any:
    if settings is not None:
        (tmp_path / "old" / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "new").mkdir()
    assert convert_tokenizer(tmp_path / "old", tmp_path / "new", rules, vocab_size=400) == ""
    (tmp_path / "new" / "config.json").write_text(json.dumps(config))
    return AutoTokenizer.from_pretrained(tmp_path / "new")


def test_baichuan_encodes_by_its_pieces_and_bytes(tmp_path: Path) -> None:
    ids = _sentencepiece(tmp_path / "old" / "tokenizer.model", user="<reserved_102>")
    settings = {"add_bos_token": False, "tokenizer_class": "BaichuanTokenizer", "auto_map": {"AutoTokenizer": ["x.Y", None]}}
    tokenizer = _converted(tmp_path, baichuan.BAICHUAN.tokenizer, {"model_type": "llama"}, settings)
    assert tokenizer("a sop")["input_ids"] == [ids[piece] for piece in ("▁a", "▁", "so", "p")]
    assert tokenizer("é")["input_ids"] == [ids[piece] for piece in ("▁", "<0xC3>", "<0xA9>")]
    assert tokenizer("a<reserved_102>")["input_ids"] == [ids["▁a"], ids["<reserved_102>"]]
    assert tokenizer.decode(tokenizer("a sop é")["input_ids"]) == "a sop é"
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id) == (1, 2, 0)
    assert "auto_map" not in json.loads((tmp_path / "new" / "tokenizer_config.json").read_text())


@pytest.mark.parametrize("settings", [None, {"add_bos_token": True, "pad_token": {"content": "<unk>", "__type": "AddedToken"}}])
def test_baichuan_puts_bos_first_where_its_config_asks_for_it(tmp_path: Path, settings: dict[str, Any] | None) -> None:
    ids = _sentencepiece(tmp_path / "old" / "tokenizer.model")
    tokenizer = _converted(tmp_path, baichuan.BAICHUAN2.tokenizer, {"model_type": "llama"}, settings)
    assert tokenizer("a")["input_ids"] == [ids["<s>"], ids["▁a"]]
    assert tokenizer.pad_token == (None if settings is None else "<unk>")


def test_chatglm_numbers_its_special_tokens_after_the_pieces_and_never_reads_them_in_a_text(tmp_path: Path) -> None:
    ids = _sentencepiece(tmp_path / "old" / "tokenizer.model")
    tokenizer = _converted(tmp_path, chatglm.CHATGLM.tokenizer, {"model_type": "glm"})
    first = len(ids)
    names = ("[MASK]", "[gMASK]", "[sMASK]", "sop", "eop", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>")
    assert tokenizer.convert_tokens_to_ids(list(names)) == list(range(first, first + 9))
    assert (tokenizer.padding_side, tokenizer.pad_token_id, tokenizer.eos_token_id) == ("left", 0, 2)
    assert tokenizer("a sop")["input_ids"] == [first + 1, first + 3, *(ids[piece] for piece in ("▁a", "▁", "so", "p"))]
    for text in ("a<|user|>", "aesop[gMASK]</s>"):
        spelt = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert max(spelt) < first
        assert 2 not in spelt
        assert tokenizer.decode(spelt) == text
    assert tokenizer.decode([first + 6, ids["▁a"]], skip_special_tokens=True) == "a"


def _note(tmp_path: Path, rules: Any, *, vocab_size: int = 400) -> str:
    (tmp_path / "new").mkdir()
    note = convert_tokenizer(tmp_path / "old", tmp_path / "new", rules, vocab_size=vocab_size)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["tokenizer.model"]
    return note.removeprefix("tokenizer.model was copied as it is, without a tokenizer.json: ")


def test_a_special_token_that_is_a_piece_as_well_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    _sentencepiece(tmp_path / "old" / "tokenizer.model", user="sop")
    assert _note(tmp_path, chatglm.CHATGLM.tokenizer) == "`sop` stands for two ids"


def test_a_named_token_without_an_id_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    _sentencepiece(tmp_path / "old" / "tokenizer.model")
    (tmp_path / "old" / "tokenizer_config.json").write_text('{"pad_token": "[PAD]"}')
    assert _note(tmp_path, baichuan.BAICHUAN.tokenizer) == "`[PAD]` of tokenizer_config.json has no id"


def test_more_tokens_than_the_model_has_leave_the_file_as_it_is(tmp_path: Path) -> None:
    ids = _sentencepiece(tmp_path / "old" / "tokenizer.model")
    assert (
        _note(tmp_path, chatglm.CHATGLM.tokenizer, vocab_size=len(ids)) == f"it has {len(ids) + 9} tokens and the model {len(ids)}"
    )


def test_without_protobuf_the_file_is_left_and_the_remedy_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _sentencepiece(tmp_path / "old" / "tokenizer.model")

    def missing() -> None:
        raise ImportError

    monkeypatch.setattr(module, "import_protobuf", missing)
    assert "pip install protobuf" in _note(tmp_path, baichuan.BAICHUAN.tokenizer)


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "tokenizer.model").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(ModelError) as caught:
        convert_tokenizer(tmp_path / "old", tmp_path, baichuan.BAICHUAN.tokenizer, vocab_size=400)
    assert (caught.value.what, caught.value.where) == ("this is no SentencePiece file", str(tmp_path / "old" / "tokenizer.model"))
    (tmp_path / "old" / "tokenizer_config.json").write_text("{")
    with pytest.raises(ModelError, match="this is no JSON object"):
        convert_tokenizer(tmp_path / "old", tmp_path, baichuan.BAICHUAN.tokenizer, vocab_size=400)


def test_a_tokenizer_json_is_taken_as_it_is_and_forgets_its_remote_code(tmp_path: Path, tiny_model: Path) -> None:
    source = shutil.copytree(tiny_model, tmp_path / "old")
    settings = json.loads((source / "tokenizer_config.json").read_text())
    settings |= {"auto_map": {"AutoTokenizer": ["tokenization_x.X", None]}, "tokenizer_class": "X"}
    (source / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "new").mkdir()
    assert convert_tokenizer(source, tmp_path / "new", baichuan.BAICHUAN.tokenizer, vocab_size=400) == ""
    (tmp_path / "new" / "config.json").write_text('{"model_type": "llama"}')
    text = "How long does a refund take? 退款"
    assert AutoTokenizer.from_pretrained(tmp_path / "new")(text) == AutoTokenizer.from_pretrained(tiny_model)(text)
