"""Old checkpoints compute the same after their conversion, by classes of transformers alone."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from tests.model import old_layouts as old
from tunewell.cli import main
from tunewell.model.convert import convert_checkpoint

Logits = Callable[..., torch.Tensor]


def _batch(vocabulary: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two rows of 80 tokens, the second padded on the left by 7."""
    ids = torch.randint(3, vocabulary, (2, 80), generator=torch.Generator().manual_seed(1))
    mask = torch.ones(2, 80, dtype=torch.bool)
    mask[1, :7] = False
    return ids, mask


def _converted_logits(folder: Path, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        logits: torch.Tensor = model(input_ids=ids, attention_mask=mask.long()).logits
    return logits


def _largest_difference(left: torch.Tensor, right: torch.Tensor, mask: torch.Tensor) -> float:
    return float((left - right)[mask].abs().max())


_WRONG_BAICHUAN = ({"pairs": True}, {"qkv": (1, 0, 2)}, {"qkv": (0, 2, 1)})
_WRONG_CHATGLM = ({"pairs": False}, {"rotated_share": 1.0}, {"gate_first": False}, {"bias": False}, {"neighbours_share": False})


@pytest.mark.parametrize(
    ("config", "state_of", "logits_of", "right", "wrong", "architecture"),
    [
        (old.BAICHUAN, old.baichuan_state, old.baichuan_logits, {"unit_head": False}, _WRONG_BAICHUAN, "LlamaForCausalLM"),
        (
            *(old.BAICHUAN2, old.baichuan_state, old.baichuan_logits, {"unit_head": True}),
            *(({"unit_head": False}, *_WRONG_BAICHUAN), "LlamaForCausalLM"),
        ),
        (old.CHATGLM, old.chatglm_state, old.chatglm_logits, {}, _WRONG_CHATGLM, "GlmForCausalLM"),
    ],
    ids=["baichuan", "baichuan2", "chatglm"],
)
def test_the_same_logits_as_the_old_code_and_no_others(
    tmp_path: Path,
    config: old.Config,
    state_of: Callable[[old.Config], old.State],
    logits_of: Logits,
    right: dict[str, Any],
    wrong: tuple[dict[str, Any], ...],
    architecture: str,
) -> None:
    state = state_of(config)
    done = convert_checkpoint(old.write(tmp_path / "old", config, state), tmp_path / "new")
    assert done.architecture == architecture
    ids, mask = _batch(config.get("vocab_size") or config["padded_vocab_size"])
    converted = _converted_logits(done.model, ids, mask)
    reference = logits_of(state, config, ids, mask, **right)
    assert float(reference[mask].std()) > 0.1
    assert _largest_difference(converted, reference, mask) < 1e-4
    for mistake in wrong:
        other = logits_of(state, config, ids, mask, **(right | mistake))
        assert _largest_difference(converted, other, mask) > 1e-2, mistake


def test_the_head_of_baichuan2_has_rows_of_length_one_and_that_of_baichuan_is_as_it_was(tmp_path: Path) -> None:
    for config, unit in ((old.BAICHUAN, False), (old.BAICHUAN2, True)):
        state = old.baichuan_state(config)
        done = convert_checkpoint(old.write(tmp_path / f"old-{unit}", config, state), tmp_path / f"new-{unit}")
        head = load_file(done.model / "model.safetensors")["lm_head.weight"]
        assert torch.equal(head, state["lm_head.weight"]) is not unit
        assert torch.allclose(head.norm(dim=1), torch.ones(len(head)), atol=1e-5) is unit


def test_the_folder_needs_no_remote_code_and_says_what_the_old_config_said(tmp_path: Path) -> None:
    done = convert_checkpoint(old.glm(tmp_path / "old"), tmp_path / "new")
    config = json.loads((done.model / "config.json").read_text())
    assert "auto_map" not in config
    expected = {"model_type": "glm", "architectures": ["GlmForCausalLM"], "dtype": "float32", "head_dim": 16}
    expected |= {"num_key_value_heads": 2, "max_position_embeddings": 32768, "eos_token_id": 2, "pad_token_id": 0}
    assert {key: config[key] for key in expected} == expected
    assert config["rope_parameters"]["rope_theta"] == 10000.0
    assert config["rope_parameters"]["partial_rotary_factor"] == 0.5
    assert json.loads((done.model / "generation_config.json").read_text()) == {"eos_token_id": 2, "pad_token_id": 0}
    assert not list(done.model.glob("*.py"))
    assert done.tensors == 25
    assert done.parameters == sum(tensor.numel() for tensor in load_file(done.model / "model.safetensors").values())


def test_the_settings_of_generation_are_kept(tmp_path: Path) -> None:
    source = old.glm(tmp_path / "old")
    (source / "generation_config.json").write_text('{"eos_token_id": 2, "user_token_id": 195, "auto_map": {"a": "b"}}')
    done = convert_checkpoint(source, tmp_path / "new")
    assert json.loads((done.model / "generation_config.json").read_text()) == {"eos_token_id": 2, "user_token_id": 195}


@pytest.mark.parametrize("suffix", ["bin", "safetensors"])
def test_shards_in_both_forms_give_the_same_model_in_its_own_number_format(tmp_path: Path, suffix: str) -> None:
    state = {name: tensor.to(torch.bfloat16) for name, tensor in old.chatglm_state(old.CHATGLM).items()}
    whole = convert_checkpoint(old.write(tmp_path / "whole", old.CHATGLM, state), tmp_path / "from-whole")
    source = old.sharded(old.write(tmp_path / "sharded", old.CHATGLM), state, suffix)
    done = convert_checkpoint(source, tmp_path / "from-shards", shard_bytes=20_000)
    index = json.loads((done.model / "model.safetensors.index.json").read_text())
    files = sorted(done.model.glob("model-*.safetensors"))
    assert len(files) > 2
    assert [file.name for file in files] == sorted(set(index["weight_map"].values()))
    assert files[-1].name == f"model-{len(files):05d}-of-{len(files):05d}.safetensors"
    loaded = {name: tensor for file in files for name, tensor in load_file(file).items()}
    expected = load_file(whole.model / "model.safetensors")
    assert set(loaded) == set(index["weight_map"]) == set(expected)
    assert all(tensor.dtype == torch.bfloat16 and torch.equal(tensor, expected[name]) for name, tensor in loaded.items())
    assert index["metadata"]["total_size"] == sum(2 * tensor.numel() for tensor in loaded.values())
    for file in files:
        tensors = load_file(file)
        assert len(tensors) == 1 or sum(2 * tensor.numel() for tensor in tensors.values()) <= 20_000
    assert json.loads((done.model / "config.json").read_text())["dtype"] == "bfloat16"
    assert next(AutoModelForCausalLM.from_pretrained(done.model).parameters()).dtype == torch.bfloat16


def test_one_pickle_is_read_as_well_with_tensors_that_share_memory_or_lie_transposed(tmp_path: Path) -> None:
    state = old.chatglm_state(old.CHATGLM)
    expected = convert_checkpoint(old.write(tmp_path / "plain", old.CHATGLM, state), tmp_path / "from-plain")
    head, norm = "transformer.output_layer.weight", "transformer.encoder.final_layernorm.weight"
    state[head] = state[head].T.contiguous().T
    state[norm] = torch.cat([torch.zeros(5), state[norm], torch.zeros(5)])[5:-5]
    source = old.write(tmp_path / "old", old.CHATGLM)
    torch.save(state, source / "pytorch_model.bin")
    done = convert_checkpoint(source, tmp_path / "new")
    assert (done.model / "model.safetensors").read_bytes() == (expected.model / "model.safetensors").read_bytes()


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    source = old.glm(tmp_path / "old")
    folders = [convert_checkpoint(source, tmp_path / name, shard_bytes=20_000).model for name in ("a", "b")]
    left, right = ({file.name: file.read_bytes() for file in folder.iterdir()} for folder in folders)
    assert left == right


# The command


def _call(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["tunewell", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0)


def test_the_command_prints_one_json_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = old.glm(tmp_path / "old")
    assert _call(monkeypatch, "model", "convert", source, "--out", tmp_path / "new", "--json") == 0
    printed = capsys.readouterr()
    out = str(tmp_path / "new")
    parameters = sum(tensor.numel() for tensor in load_file(tmp_path / "new" / "model.safetensors").values())
    assert json.loads(printed.out.splitlines()[-1]) == {
        "model": out,
        "architecture": "GlmForCausalLM",
        "parameters": parameters,
        "tensors": 25,
    }
    assert "note: no tokenizer was found" in printed.err


def test_the_command_prints_a_table_and_cuts_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = old.write(tmp_path / "old", old.BAICHUAN, old.baichuan_state(old.BAICHUAN))
    assert _call(monkeypatch, "model", "convert", source, "--out", tmp_path / "new", "--shard-gb", "0.001") == 0
    assert "LlamaForCausalLM" in capsys.readouterr().out
    assert len(list((tmp_path / "new").glob("model-*-of-*.safetensors"))) == 3


def test_the_command_ends_a_mistake_in_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call(monkeypatch, "model", "convert", tmp_path / "nowhere", "--out", tmp_path / "new") == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'nowhere'}: there is no config.json here\n\nhint: ")
