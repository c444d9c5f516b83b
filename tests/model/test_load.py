"""Loading: a tuned model differs from its base by what was trained, and by nothing else."""

from pathlib import Path

import pytest
import torch

from tests.train.work import IDS
from tunewell.model.load import load_base, load_tuned
from tunewell.train.adapter import Shape, add_lora


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_adapter_that_changes_nothing_leaves_the_base_bit_for_bit(dtype: torch.dtype, tiny_model: Path, tmp_path: Path) -> None:
    add_lora(load_base(tiny_model, torch.float32), Shape(4, 8, "all-linear", "lora"), seed=0).save_pretrained(str(tmp_path))
    long = IDS.repeat(1, 40)  # rounded frequencies of positions show far from the start
    with torch.inference_mode():
        base, tuned = load_base(tiny_model, dtype)(long).logits, load_tuned(tiny_model, tmp_path, dtype)(long).logits
    assert base.dtype == tuned.dtype == dtype
    assert torch.equal(base, tuned)
