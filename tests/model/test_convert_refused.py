"""Checkpoints that cannot be converted are refused with what is wrong, where, and what to do; nothing is left behind."""

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save, save_file

from tests.model import old_layouts as old
from tunewell.errors import ModelError
from tunewell.model.convert import convert_checkpoint
from tunewell.model.convert.detect import LAYOUTS, detect
from tunewell.model.convert.layout import holds


def _refused(source: Path, out: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        convert_checkpoint(source, out)
    assert not out.exists() or out.is_file() or any(out.iterdir())
    assert not list(out.parent.glob(f".{out.name}*"))
    return caught.value


@pytest.mark.parametrize("changes", [{"max_position_embeddings": None, "model_max_length": 4096}, {"hidden_size": 5120}])
@pytest.mark.parametrize("vocabulary", [64000, 125696])
def test_the_13b_of_baichuan_are_refused_because_of_alibi(tmp_path: Path, changes: old.Config, vocabulary: int) -> None:
    config = {key: value for key, value in (old.BAICHUAN | changes).items() if value is not None} | {"vocab_size": vocabulary}
    error = _refused(old.write(tmp_path / "old", config), tmp_path / "new")
    assert "uses ALiBi, which no class of transformers combines with RMSNorm and a gated MLP" in error.what
    assert error.where == str(tmp_path / "old" / "config.json")
    assert error.hint.startswith("use Baichuan-7B or Baichuan2-7B")


def test_the_first_chatglm_is_refused_because_of_its_positions() -> None:
    with pytest.raises(ModelError, match="positions have two dimensions") as caught:
        detect({"model_type": "chatglm", "position_encoding_2d": True}, where="config.json")
    assert caught.value.hint == "use ChatGLM2-6B or ChatGLM3-6B"


@pytest.mark.parametrize(
    ("config", "seen"),
    [
        ({"model_type": "qwen", "vocab_size": 9}, "unknown layout: model_type 'qwen', vocab_size 9"),
        ({"model_type": "chatglm"}, "unknown layout: model_type 'chatglm'"),
        (
            old.BAICHUAN | {"vocab_size": 64003, "architectures": ["X"]},
            "model_type 'baichuan', architectures ['X'], vocab_size 64003",
        ),
        ({}, "unknown layout: the config names none"),
    ],
)
def test_an_unknown_layout_is_named_beside_the_known_ones(config: old.Config, seen: str) -> None:
    with pytest.raises(ModelError) as caught:
        detect(config, where="config.json")
    assert seen in caught.value.what
    for layout in LAYOUTS:
        assert layout.name in caught.value.hint


@pytest.mark.parametrize(
    ("key", "value"),
    [("rope_ratio", 50), ("quantization_bit", 4), ("rmsnorm", False), ("add_bias_linear", True), ("tie_word_embeddings", True)],
)
def test_a_variant_that_computes_something_else_is_refused(tmp_path: Path, key: str, value: object) -> None:
    error = _refused(old.glm(tmp_path / "old", **{key: value}), tmp_path / "new")
    assert error.what == f"this variant of ChatGLM2-6B / ChatGLM3-6B is not supported: {key} {value!r}"
    assert error.hint.startswith("ChatGLM2-6B / ChatGLM3-6B is converted only with ")


def test_no_config_belongs_to_two_layouts() -> None:
    for config in (old.BAICHUAN, old.BAICHUAN2, old.CHATGLM):
        assert sum(holds(config, layout.signs) for layout in LAYOUTS) == 1


def test_a_config_that_lacks_a_size_or_has_an_impossible_one_is_refused(tmp_path: Path) -> None:
    lacking = {key: value for key, value in old.CHATGLM.items() if key != "kv_channels"}
    error = _refused(old.write(tmp_path / "lacking", lacking), tmp_path / "new")
    assert error.what == "the config lacks kv_channels"
    error = _refused(old.write(tmp_path / "odd", old.BAICHUAN | {"num_attention_heads": 5}), tmp_path / "new")
    assert error.what.startswith("these sizes make no model: ")
    error = _refused(old.write(tmp_path / "odder", old.BAICHUAN | {"num_hidden_layers": "two"}), tmp_path / "new")
    assert error.what.startswith("these sizes make no model: ")


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    source = old.sharded(old.write(tmp_path / "old", old.CHATGLM), old.chatglm_state(old.CHATGLM), "bin")
    (source / "weights-1.bin").unlink()
    error = _refused(source, tmp_path / "new")
    assert error.what == "1 of 3 shards are missing: weights-1.bin"
    assert error.where == str(source / "pytorch_model.bin.index.json")


def test_a_folder_without_weights_or_without_a_config_is_refused(tmp_path: Path) -> None:
    assert _refused(old.write(tmp_path / "old", old.CHATGLM), tmp_path / "new").what == "this folder holds no weights"
    error = _refused(tmp_path / "nowhere", tmp_path / "new")
    assert error.what == "there is no config.json here"
    assert "hf download" in error.hint
    (tmp_path / "old" / "config.json").write_text("[1")
    assert _refused(tmp_path / "old", tmp_path / "new").what == "this is no JSON object"
    old.write(tmp_path / "old", old.CHATGLM)
    (tmp_path / "old" / "pytorch_model.bin.index.json").write_text("{}")
    assert _refused(tmp_path / "old", tmp_path / "new").what == "this index of shards cannot be read"


def _broken(**changes: torch.Tensor | None) -> old.State:
    state: dict[str, Any] = old.chatglm_state(old.CHATGLM) | changes
    return {name: tensor for name, tensor in state.items() if tensor is not None}


_QKV = "transformer.encoder.layers.1.self_attention.query_key_value.weight"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({_QKV: torch.zeros(120, 48)}, f"the tensor `{_QKV}` has the shape (120, 48), not (128, 48)"),
        ({_QKV: torch.zeros(128, 47)}, f"the tensor `{_QKV}` has the shape (128, 47), not (128, 48)"),
        ({_QKV: torch.zeros(128, 48, dtype=torch.int8)}, f"the tensor `{_QKV}` holds torch.int8, not floating-point numbers"),
        ({"transformer.extra": torch.zeros(1)}, "the tensor `transformer.extra` has no place in ChatGLM2-6B / ChatGLM3-6B"),
        (
            {_QKV.replace("1", "7"): torch.zeros(128, 48)},
            f"the tensor `{_QKV.replace('1', '7')}` has no place in ChatGLM2-6B / ChatGLM3-6B",
        ),
    ],
)
def test_an_odd_tensor_is_named_with_its_file(tmp_path: Path, changes: old.State, what: str) -> None:
    error = _refused(old.write(tmp_path / "old", old.CHATGLM, _broken(**changes)), tmp_path / "new")
    assert error.what == what
    assert error.where == str(tmp_path / "old" / "model.safetensors")
    assert error.hint


def test_tensors_that_are_missing_are_named(tmp_path: Path) -> None:
    error = _refused(old.write(tmp_path / "old", old.CHATGLM, _broken(**{_QKV: None})), tmp_path / "new")
    names = ", ".join(f"model.layers.1.self_attn.{part}_proj.weight" for part in "kqv")
    assert error.what == f"the weights give no {names}"
    error = _refused(old.write(tmp_path / "old", old.CHATGLM | {"num_layers": 3}, _broken()), tmp_path / "new")
    assert error.what.endswith("and 6 more")


def test_a_tensor_in_two_shards_is_refused(tmp_path: Path) -> None:
    source = old.sharded(old.write(tmp_path / "old", old.CHATGLM), old.chatglm_state(old.CHATGLM), "safetensors")
    save_file(load_file(source / "weights-0.safetensors"), source / "weights-1.safetensors")
    error = _refused(source, tmp_path / "new")
    assert error.what.endswith("would be written twice")
    assert error.where == str(source / "weights-1.safetensors")


class _Harm:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (os.environ["TUNEWELL_TEST_HARM"],)


def test_code_in_a_pickle_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEWELL_TEST_HARM", str(tmp_path / "harm"))
    source = old.write(tmp_path / "old", old.CHATGLM)
    (source / "pytorch_model.bin").write_bytes(pickle.dumps(_Harm(), protocol=2))
    assert _refused(source, tmp_path / "new").what.startswith("the weights cannot be read: ")
    torch.save({"weight": _Harm()}, source / "pytorch_model.bin")
    error = _refused(source, tmp_path / "new")
    assert error.what.startswith("the weights cannot be read: ")
    assert error.hint == "fetch this file again; a file that needs code to be read is refused"
    assert not (tmp_path / "harm").exists()


_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_file_that_was_cut_off_or_never_fetched_is_named(tmp_path: Path, name: str) -> None:
    source = old.write(tmp_path / "old", old.CHATGLM)
    whole = io.BytesIO()
    torch.save(old.chatglm_state(old.CHATGLM), whole)
    content = whole.getvalue() if name.endswith("bin") else save(old.chatglm_state(old.CHATGLM))
    for broken in (content[:5000], content[:3], b"", _POINTER):
        (source / name).write_bytes(broken)
        error = _refused(source, tmp_path / "new")
        assert error.what.startswith("the weights cannot be read: ")
        assert error.where == str(source / name)


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "new"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    error = _refused(old.glm(tmp_path / "old"), out)
    assert error.what == "this is not an empty folder"
    assert [file.name for file in out.iterdir()] == ["mine.txt"]
    (out / "mine.txt").unlink()
    assert convert_checkpoint(tmp_path / "old", out).model == out
