"""Parameters from a config.json are those of the real model, and of peft's adapters on it."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from tests.plan.configs import PUBLISHED, TINY, write_config
from tunewell.errors import ModelError
from tunewell.plan import Job, find_config, read_shapes

_SOME = ["q_proj", "qkv_proj", "down_proj", "c_attn", "query_key_value"]
_NO_OUTPUT = ["q_proj", "k_proj", "v_proj", "gate_proj", "up_proj", "down_proj"]


def _real(folder: Path) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))


def _count(model: Any, *, trained: bool = False) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad or not trained)


@pytest.mark.parametrize("name", TINY)
def test_counts_are_those_of_the_real_model_and_of_peft_on_it(name: str, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    folder = write_config(tmp_path, TINY[name])
    full = read_shapes(folder, Job(method="full"))
    assert full.parameters == full.trained == _count(_real(folder))
    for targets, dora in (("all-linear", False), ("all-linear", name != "qwen3_moe"), (_SOME, False)):
        config = LoraConfig(r=3, target_modules=targets, use_dora=dora, task_type="CAUSAL_LM")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = get_peft_model(_real(folder), config)
        planned = read_shapes(folder, Job(rank=3, targets=targets, dora=dora))
        assert planned.trained == _count(model, trained=True), (targets, dora)
        assert planned.parameters == full.parameters


def test_an_adapter_has_rank_times_inputs_and_outputs(tmp_path: Path) -> None:
    """Hu et al. 2021; DoRA trains a length for each output besides."""
    folder = write_config(tmp_path, TINY["llama"])
    sizes = [(32, 64), (32, 32), (32, 32), (64, 32), (32, 80), (32, 80), (80, 32)]
    formula = 2 * sum(5 * (inputs + outputs) for inputs, outputs in sizes)
    assert read_shapes(folder, Job(rank=5)).trained == formula
    assert read_shapes(folder, Job(rank=5, method="qlora")).trained == formula
    assert read_shapes(folder, Job(rank=5, dora=True)).trained == formula + 2 * sum(outputs for _, outputs in sizes)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("LLaMA2-7B", 6_738_415_616),
        ("Llama-3-8B", 8_030_261_248),
        ("Qwen2-7B", 7_615_616_512),
        ("Mistral-7B", 7_241_732_096),
        ("Gemma-7B", 8_537_680_896),
        ("GPT-2", 124_439_808),
    ],
)
def test_published_models_have_their_published_sizes(name: str, parameters: int, tmp_path: Path) -> None:
    assert read_shapes(write_config(tmp_path, PUBLISHED[name]), Job()).parameters == parameters


@pytest.mark.parametrize(("name", "parameters"), [("LLaMA2-7B", 17_891_328), ("LLaMA-13B", 28_016_640)])
def test_adapters_of_the_seed_have_its_parameters(name: str, parameters: int, tmp_path: Path) -> None:
    folder = write_config(tmp_path, PUBLISHED[name])
    assert read_shapes(folder, Job(rank=8, targets=_NO_OUTPUT)).trained == parameters
    assert read_shapes(folder, Job(rank=8, targets=_NO_OUTPUT, method="qlora")).trained == parameters
    assert read_shapes(folder, Job(rank=8)).trained > parameters


def test_widths_are_read_from_the_layers(tmp_path: Path) -> None:
    llama, gpt2, experts = (
        read_shapes(write_config(tmp_path / name, TINY[name]), Job()) for name in ("llama", "gpt2", "qwen3_moe")
    )
    assert (llama.queries, llama.keys, llama.feed_forward, llama.streams) == (64, 32, 80, 2)
    assert (gpt2.queries, gpt2.feed_forward, gpt2.streams) == (32, 128, 1)
    # of the experts only the chosen ones work on a token
    assert experts.active < experts.parameters - 2 * 320 * 32
    assert experts.feed_forward == pytest.approx(2 * 24, abs=3)
    assert llama.active == llama.linear


def test_a_head_is_adapted_where_it_is_named(tmp_path: Path) -> None:
    assert read_shapes(write_config(tmp_path, TINY["llama"]), Job(rank=2, targets=["lm_head"])).trained == 2 * (320 + 32)


def test_a_target_that_is_no_layer_is_refused(tmp_path: Path) -> None:
    folder = write_config(tmp_path, TINY["llama"])
    with pytest.raises(ModelError) as caught:
        read_shapes(folder, Job(targets=["q_porj"]))
    assert caught.value.where == "train.targets"
    assert caught.value.what.startswith("['q_porj'] takes no adapter on this model: ")
    assert caught.value.hint == "allowed: all-linear, or some of down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj"


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("{", "cannot be read", "copy it anew"),
        ("[]", "names no architecture", "copy it anew"),
        ('{"hidden_size": 3}', "names no architecture", "copy it anew"),
        ('{"model_type": "nonesuch"}', "transformers knows no architecture `nonesuch`", "tunewell model convert"),
        ('{"model_type": "t5"}', "`t5` is not an architecture that writes text from left to right", "a language model"),
        ('{"model_type": "clip"}', "`clip` is not an architecture", "a language model"),
    ],
)
def test_a_config_of_no_use_is_refused(text: str, what: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(ModelError) as caught:
        read_shapes(tmp_path, Job())
    assert what in caught.value.what
    assert caught.value.where == str(tmp_path / "config.json")
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "odd",
    [{"hidden_size": -4}, {"num_attention_heads": 0}, {"vocab_size": "many"}, {"num_hidden_layers": 0}, {"hidden_act": "nonesuch"}],
)
def test_odd_values_are_refused(odd: dict[str, Any], tmp_path: Path) -> None:
    folder = write_config(tmp_path, TINY["llama"] | odd)
    with pytest.raises(ModelError) as caught:
        read_shapes(folder, Job())
    assert caught.value.where == str(folder / "config.json")
    assert caught.value.hint


def test_the_config_is_found_by_folder_and_by_file(tmp_path: Path) -> None:
    folder = write_config(tmp_path / "model", TINY["llama"])
    assert find_config(str(folder)) == folder
    assert find_config(str(folder / "config.json")) == folder


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps({"r": 8}))
    for name, what, hint in (
        ("nowhere", "there is no such recipe or model", "give a recipe"),
        ("empty", "this folder holds no config.json", "the folder of a base model"),
        ("adapter", "this folder holds no config.json", "plan its base model"),
    ):
        with pytest.raises(ModelError) as caught:
            find_config(str(tmp_path / name))
        assert caught.value.what == what
        assert caught.value.where == str(tmp_path / name)
        assert hint in caught.value.hint


def test_a_model_of_the_hub_that_cannot_be_had_says_why() -> None:
    with pytest.raises(ModelError) as caught:
        find_config("nobody/nothing")
    assert caught.value.where == "nobody/nothing"
    assert caught.value.what.startswith("its config.json cannot be had: ")
    assert "check the spelling" in caught.value.hint
