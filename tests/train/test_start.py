"""Training that starts from an adapter: trained on, or folded in; and what is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoTokenizer

from tests.train.work import IDS, log_of, run_stage
from tunewell.errors import ModelError, RecipeError, TemplateError
from tunewell.model.attention import enable_packed_attention, row_logits
from tunewell.model.lineage import check_lineage, find_adapter, open_trained, read_lineage, weights_digest
from tunewell.model.load import Choice, NumberFormat, load_base, load_trained, load_tuned
from tunewell.store import read_examples
from tunewell.template import Loss, open_format
from tunewell.train import methods
from tunewell.train.batches import pack, plan_steps

_FLOAT32 = NumberFormat(torch.float32, Choice("float32", "for the test"))


@pytest.fixture(scope="module")
def first(tiny_model: Path, mix: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stage's folder of a first training."""
    folder = tmp_path_factory.mktemp("first") / "5-train"
    run_stage(tiny_model, mix, folder, rank=2, alpha=6, epochs=1, targets=["q_proj", "up_proj"])
    return folder


def _logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = model(IDS).logits
    return logits


def test_continue_trains_the_same_parameters_on_as_a_loop_by_hand(
    first: Path, tiny_model: Path, mix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(methods, "number_format", lambda: _FLOAT32)
    details = run_stage(tiny_model, mix, tmp_path / "out", plain=True, epochs=1, start={"continue": str(first)})
    assert (details["rank"], details["alpha"], details["targets"]) == (2, 6, ["q_proj", "up_proj"])

    model: Any = PeftModel.from_pretrained(load_base(tiny_model, torch.float32), first / "adapter", is_trainable=True)
    enable_packed_attention(model.base_model.model)
    chat = open_format("auto", AutoTokenizer.from_pretrained(tiny_model))
    examples = [chat.encode(example.messages, Loss()) for example in read_examples(mix / "train")]
    steps = plan_steps([len(example.ids) for example in examples], epochs=1, batch_tokens=128, seed=0)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-2, weight_decay=0.0)
    rates = [line["learning_rate"] for line in log_of(tmp_path / "out")]
    for step, rate in zip(steps, rates, strict=True):
        optimiser.param_groups[0]["lr"] = rate
        packed = pack([examples[index] for index in step.examples], multiple_of=32)
        loss = torch.nn.functional.cross_entropy(row_logits(model, packed.row, packed.keep), packed.targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        optimiser.zero_grad()
    by_hand = get_peft_model_state_dict(model)
    ours = load_file(tmp_path / "out" / "adapter" / "adapter_model.safetensors")
    before = load_file(first / "adapter" / "adapter_model.safetensors")
    assert set(ours) == set(by_hand) == set(before)
    for name, weights in ours.items():
        torch.testing.assert_close(weights, by_hand[name], rtol=1e-4, atol=1e-6)
        assert not torch.equal(weights, before[name])


def test_merge_folds_exactly_and_starts_a_new_adapter(first: Path, tiny_model: Path, mix: Path, tmp_path: Path) -> None:
    run_stage(tiny_model, mix, tmp_path / "out", epochs=1, start={"merge": str(first / "adapter")})
    trained = open_trained(tmp_path / "out", tiny_model)
    assert trained.base == tmp_path / "out" / "merged"
    folded = load_tuned(tiny_model, first / "adapter", torch.float32)
    assert torch.equal(_logits(load_base(trained.base, torch.float32)), _logits(folded))
    unfolded = PeftModel.from_pretrained(load_base(tiny_model, torch.float32), first / "adapter")
    torch.testing.assert_close(_logits(folded), _logits(unfolded), rtol=0, atol=1e-5)
    tuned = _logits(load_trained(trained, torch.float32))
    assert not torch.allclose(tuned, _logits(folded), atol=1e-2)
    by_hand = PeftModel.from_pretrained(load_base(trained.base, torch.float32), trained.folder)
    torch.testing.assert_close(tuned, _logits(by_hand), rtol=0, atol=1e-4)
    assert json.loads((trained.folder / "adapter_config.json").read_text())["r"] == 4
    assert AutoTokenizer.from_pretrained(trained.base).chat_template


def test_the_lineage_is_a_chain(first: Path, tiny_model: Path, mix: Path, tmp_path: Path) -> None:
    run_stage(tiny_model, mix, tmp_path / "second", epochs=1, start={"merge": str(first)})
    run_stage(tiny_model, mix, tmp_path / "third", epochs=1, plain=True, start={"continue": str(tmp_path / "second")})
    lineage = read_lineage(tmp_path / "third" / "adapter")
    assert lineage is not None
    assert [(parent["how"], parent["start"]) for parent in lineage["parents"]] == [("merge", "base"), ("continue", "merge")]
    assert [parent["weights"] for parent in lineage["parents"]] == [
        weights_digest(first / "adapter"),
        weights_digest(tmp_path / "second" / "adapter"),
    ]
    assert lineage["parents"][0]["base"] == weights_digest(tiny_model)
    assert lineage["base"] == lineage["parents"][1]["base"] == weights_digest(tmp_path / "third" / "merged")
    assert "parents" not in lineage["parents"][1]


def test_full_training_takes_a_folded_base_and_keeps_no_copy(first: Path, tiny_model: Path, mix: Path, tmp_path: Path) -> None:
    run_stage(tiny_model, mix, tmp_path / "out", epochs=1, method="full", start={"merge": str(first)})
    assert not (tmp_path / "out" / "merged").exists()
    lineage = read_lineage(tmp_path / "out" / "model")
    assert lineage is not None
    assert (lineage["start"], len(lineage["parents"])) == ("merge", 1)


def test_a_recipe_that_says_otherwise_than_the_adapter_is_refused(first: Path, tiny_model: Path, mix: Path, tmp_path: Path) -> None:
    said: dict[str, Any] = {"rank": 8, "alpha": 6, "targets": ["v_proj"], "variant": "dora"}
    with pytest.raises(RecipeError) as caught:
        run_stage(tiny_model, mix, tmp_path / "out", start={"continue": str(first)}, **said)
    assert caught.value.problems == (
        "train.rank: 8, but the adapter that is trained on has 2",
        "train.targets: ['v_proj'], but the adapter that is trained on has ['q_proj', 'up_proj']",
        "train.variant: 'dora', but the adapter that is trained on has 'lora'",
    )
    assert caught.value.hint == f"leave these keys out, or take `start: {{merge: {first / 'adapter'}}}` and a new adapter"


def test_an_adapter_is_refused_on_another_base(first: Path, tiny_model: Path, mix: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny_model, other)
    model: Any = load_base(other, torch.float32)
    model.get_input_embeddings().weight += 1e-3
    model.save_pretrained(other)
    for start in ("continue", "merge"):
        with pytest.raises(ModelError) as caught:
            run_stage(other, mix, tmp_path / start, plain=True, start={start: str(first)})
        assert caught.value.what == (
            f"the adapter was trained on a base with the hash {weights_digest(tiny_model)}; "
            f"that of {other} is {weights_digest(other)}"
        )
        assert caught.value.where == str(first / "adapter" / "lineage.json")
        assert caught.value.hint == "give the base that it was trained on, or train again on this one"


def test_an_adapter_is_refused_under_another_template(first: Path, tiny_model: Path, mix: Path, tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"trained under `.*`, asked for under `alpaca`: in the conversation") as caught:
        run_stage(tiny_model, mix, tmp_path / "out", plain=True, template="alpaca", start={"continue": str(first)})
    assert caught.value.where == str(first / "adapter" / "contract.json")


def test_an_adapter_from_elsewhere_is_taken_on_trust_and_that_is_said(
    first: Path, tiny_model: Path, mix: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(first / "adapter" / name, foreign / name)
    run_stage(tiny_model, mix, tmp_path / "out", plain=True, epochs=1, start={"continue": "foreign"})
    assert caplog.messages == [
        f"{foreign} holds no lineage.json and no contract.json: that it belongs to this base and this template is taken on trust"
    ]
    lineage = read_lineage(tmp_path / "out" / "adapter")
    assert lineage is not None
    assert lineage["parents"] == [{"how": "continue", "weights": weights_digest(foreign), "base": None}]


def test_what_is_no_adapter_is_refused(first: Path, tiny_model: Path, tmp_path: Path) -> None:
    assert find_adapter(first) == find_adapter(first.parent) == find_adapter(first / "adapter") == first / "adapter"
    with pytest.raises(ModelError, match="there is no adapter here") as caught:
        find_adapter(tiny_model)
    assert caught.value.hint == "give the folder of an adapter (with adapter_config.json), or of a run that trained one"
    (tmp_path / "5-train" / "model").mkdir(parents=True)
    with pytest.raises(ModelError, match="there is no adapter here") as caught:
        find_adapter(tmp_path)
    assert caught.value.hint == "full training leaves a whole model: name its folder under `model` to train it on"
    with pytest.raises(ModelError, match=r"no lineage\.json lies beside the adapter"):
        check_lineage(tmp_path, tiny_model)
    (tmp_path / "lineage.json").write_text("[]")
    with pytest.raises(ModelError, match="this is no lineage"):
        check_lineage(tmp_path, tiny_model)


def test_an_adapter_on_a_folded_base_tells_which_base_to_give(first: Path, tiny_model: Path, mix: Path, tmp_path: Path) -> None:
    run_stage(tiny_model, mix, tmp_path / "out", epochs=1, start={"merge": str(first)})
    with pytest.raises(ModelError) as caught:
        check_lineage(tmp_path / "out" / "adapter", tiny_model)
    assert caught.value.hint == "it was trained on its base with another adapter folded in: give the folder `merged` beside it"
