"""Every method trains, is saved, and is loaded again as what it is."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.train.work import IDS, log_of, run_stage
from tunewell.errors import MachineError, RecipeError
from tunewell.model.lineage import open_trained, weights_digest
from tunewell.model.load import load_base, load_quantised, load_trained
from tunewell.template import open_contract
from tunewell.train.adapter import count_parameters

needs_bitsandbytes = pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
METHODS: dict[str, dict[str, Any]] = {
    "full": {"method": "full", "learning_rate": 2e-3},
    "lora": {},
    "rslora": {"variant": "rslora"},
    "dora": {"variant": "dora"},
    "qlora": {"method": "qlora"},
    "qdora": {"method": "qlora", "variant": "dora"},
}
_each = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=needs_bitsandbytes if name.startswith("q") else ()) for name in METHODS]
)


@_each
def test_a_method_learns_and_what_it_leaves_loads(name: str, tiny_model: Path, mix: Path, tmp_path: Path) -> None:
    details = run_stage(tiny_model, mix, tmp_path / "out", **METHODS[name])
    log = log_of(tmp_path / "out")
    assert log[-1]["loss"] < 0.8 * log[0]["loss"]
    kind = "model" if name == "full" else "adapter"
    trained = open_trained(tmp_path / "out", tiny_model)
    assert (trained.kind, trained.folder) == (kind, tmp_path / "out" / kind)
    assert not (tmp_path / "out" / ({"model", "adapter"} - {kind}).pop()).exists()
    with torch.inference_mode():
        base, tuned = load_base(tiny_model, torch.float32)(IDS).logits, load_trained(trained, torch.float32)(IDS).logits
    assert not torch.allclose(base, tuned, atol=1e-2)
    lineage = json.loads((trained.folder / "lineage.json").read_text())
    assert lineage["base"] == weights_digest(tiny_model)
    assert (lineage["method"], lineage["start"], lineage["parents"]) == (METHODS[name].get("method", "lora"), "base", [])
    assert ("bitsandbytes" in lineage["versions"]) == name.startswith("q")
    assert open_contract(trained.folder, AutoTokenizer.from_pretrained(trained.folder)).hash == lineage["template"]
    assert details["parameters"] == sum(p.numel() for p in load_base(tiny_model, torch.float32).parameters())


def test_full_training_counts_every_weight_and_leaves_a_plain_folder(tiny_model: Path, mix: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    load_base(tiny_model, torch.bfloat16).save_pretrained(half)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(half)
    details = run_stage(half, mix, tmp_path / "out", method="full", learning_rate=2e-3)
    assert details["trainable_parameters"] == details["parameters"]
    assert "rank" not in details
    folder = tmp_path / "out" / "model"
    config = json.loads((folder / "config.json").read_text())
    assert config["dtype"] == "bfloat16"
    assert "tunewell" not in json.dumps(config)
    assert AutoModelForCausalLM.from_pretrained(folder).dtype == torch.bfloat16
    assert AutoTokenizer.from_pretrained(folder).chat_template
    assert {"contract.json", "lineage.json", "generation_config.json"} <= {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(("variant", "scale"), [("lora", 32 / 4), ("rslora", 32 / 2)])
def test_the_variant_decides_the_scale(variant: str, scale: float, tiny_model: Path, mix: Path, tmp_path: Path) -> None:
    run_stage(tiny_model, mix, tmp_path / "out", epochs=1, variant=variant)
    from peft import PeftModel

    model: Any = PeftModel.from_pretrained(load_base(tiny_model, torch.float32), tmp_path / "out" / "adapter")
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    assert layer.scaling["default"] == scale


@needs_bitsandbytes
def test_the_weights_of_qlora_are_kept_in_four_bits(tiny_model: Path) -> None:
    model: Any = load_quantised(tiny_model, torch.bfloat16)
    weight = model.model.layers[0].mlp.up_proj.weight
    assert (weight.dtype, weight.numel() * weight.element_size()) == (torch.uint8, 32 * 64 // 2)
    assert weight.quant_state.quant_type == "nf4"
    assert weight.quant_state.nested
    assert model.get_input_embeddings().weight.dtype == torch.bfloat16
    whole = load_base(tiny_model, torch.float32)
    linear = sum(p.numel() for name, p in whole.named_parameters() if "_proj" in name)
    assert sum(p.numel() * p.element_size() for name, p in model.named_parameters() if "_proj" in name) == linear // 2
    assert count_parameters(model)[0] == count_parameters(whole)[0]


def test_without_bitsandbytes_qlora_says_what_to_install(
    tiny_model: Path, mix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "bitsandbytes" else found(name))
    with pytest.raises(MachineError) as caught:
        run_stage(tiny_model, mix, tmp_path / "out", method="qlora")
    assert str(caught.value).split("\n\n") == [
        "train.method: qlora: the package bitsandbytes is missing",
        "hint: pip install 'tunewell[qlora]', or take `train.method: lora`",
    ]


@pytest.mark.parametrize("name", ["full", pytest.param("qlora", marks=needs_bitsandbytes)])
def test_a_cut_off_run_ends_as_an_uninterrupted_one(
    name: str, tiny_model: Path, mix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunewell.train import trainer

    run_stage(tiny_model, mix, tmp_path / "whole", epochs=1, **METHODS[name])
    original = trainer.RunLog.on_log

    def dying(self: Any, args: Any, state: Any, control: Any, **options: Any) -> None:
        original(self, args, state, control, **options)
        if state.global_step == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(trainer.RunLog, "on_log", dying)
    with pytest.raises(KeyboardInterrupt):
        run_stage(tiny_model, mix, tmp_path / "cut", epochs=1, **METHODS[name])
    monkeypatch.setattr(trainer.RunLog, "on_log", original)
    run_stage(tiny_model, mix, tmp_path / "cut", epochs=1, **METHODS[name])
    whole, cut = (weights_digest(open_trained(tmp_path / run, tiny_model).folder) for run in ("whole", "cut"))
    assert whole == cut


def test_a_recipe_cannot_train_an_adapter_on_in_full(tiny_model: Path, mix: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        run_stage(tiny_model, mix, tmp_path / "out", method="full", start={"continue": "somewhere"})
    assert caught.value.problems == (
        "train.start: `continue` trains an adapter on, and `train.method: full` has none; take lora or qlora",
    )
