"""A model in its fast form trains as the plain one does; what is chosen fits the memory at hand."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM

from tests.train.work import run_stage
from tunewell.model.attention import enable_packed_attention
from tunewell.template import Encoded
from tunewell.train import speed
from tunewell.train.batches import pack
from tunewell.train.loss import output_head, supervised_loss

_EXAMPLES = [Encoded(list(range(3, 40)), [-100, *range(4, 40)]), Encoded(list(range(90, 300)), [-100, *range(91, 300)])]


def _model(folder: Path, *, adapted: bool) -> Any:
    model: Any = LlamaForCausalLM.from_pretrained(folder)
    enable_packed_attention(model)
    if not adapted:
        return model
    wrapped = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear"))
    torch.manual_seed(0)
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return wrapped


def _gradients(model: torch.nn.Module, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    leaves = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        loss = supervised_loss(model, output_head(model), pack(_EXAMPLES))
    return [loss.detach(), *torch.autograd.grad(loss, leaves)]


@pytest.mark.parametrize("adapted", [False, True], ids=["full", "lora"])
@pytest.mark.parametrize("free", [2**40, 0], ids=["kept", "anew"])
def test_loss_and_gradients_stay_as_they_were(tiny_model: Path, monkeypatch: pytest.MonkeyPatch, adapted: bool, free: int) -> None:
    monkeypatch.setattr(speed, "_free_bytes", lambda device: free)
    model = _model(tiny_model, adapted=adapted).train()
    before = _gradients(model)
    choices = [choice.what for choice in speed.speed_up(model, _EXAMPLES[0], largest=500, dtype=torch.float32)]
    assert "loss in chunks" in choices
    assert "fused norms" in choices
    assert ("fused adapters" in choices) == adapted
    assert ("activations kept" if free else "activations computed anew") in choices
    for ours, theirs in zip(_gradients(model), before, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("adapted", [False, True], ids=["full", "lora"])
def test_in_bfloat16_the_fast_form_strays_no_further_than_the_plain_one(tiny_model: Path, adapted: bool) -> None:
    model = _model(tiny_model, adapted=adapted).train()
    exact, plain = _gradients(model), _gradients(model, torch.bfloat16)
    speed.speed_up(model, _EXAMPLES[0], largest=500, dtype=torch.bfloat16)

    def error(found: list[torch.Tensor]) -> float:
        return sum(float((one - true).norm() / true.norm()) for one, true in zip(found, exact, strict=True))

    assert error(_gradients(model, torch.bfloat16)) <= 1.25 * error(plain)


def test_a_run_says_what_was_chosen_and_why(tiny_model: Path, mix: Path, tmp_path: Path) -> None:
    details = run_stage(tiny_model, mix, tmp_path)
    said = str(details["choices"])
    assert all(what in said for what in ("loss in chunks", "fused norms", "fused adapters", "activations kept", "GiB are free"))
