"""Proof, on the spot, that examples in one row do not see each other."""

from collections.abc import Sequence

import torch
from torch.nn import functional
from transformers import PreTrainedModel

from tunewell.errors import ModelError
from tunewell.model.attention import row_logits
from tunewell.template import Encoded
from tunewell.train.batches import pack

# bfloat16 keeps 8 bits: the same example in another row differs in its third digit through rounding alone.
_TOLERANCE = {torch.bfloat16: 5e-2, torch.float32: 1e-3}


@torch.inference_mode()
def check_isolation(model: PreTrainedModel, examples: Sequence[Encoded]) -> float:
    """The largest difference (nats per token) between an example's loss alone and in a row with others.

    Raises `ModelError` where it is more than rounding: then this architecture ignores the boundaries between examples.
    """
    together = _token_losses(model, examples)
    alone = torch.cat([_token_losses(model, [example]) for example in examples])
    counts = [sum(label >= 0 for label in example.labels[1:]) for example in examples]
    pairs = zip(together.split(counts), alone.split(counts), strict=True)
    largest: float = max(abs(packed.mean() - single.mean()).item() for packed, single in pairs)
    if largest > _TOLERANCE.get(model.dtype, 1e-3):
        what = f"examples packed in one row see each other in this architecture: their losses differ by {largest:.3g}"
        raise ModelError(what, where="model", hint="please report the model's name: its attention does not take segments")
    return largest


def _token_losses(model: PreTrainedModel, examples: Sequence[Encoded]) -> torch.Tensor:
    packed = pack(examples)
    logits = row_logits(model, packed.row, packed.keep).float()
    return functional.cross_entropy(logits, packed.targets.to(logits.device), reduction="none").cpu()
