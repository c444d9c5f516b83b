"""Cross-entropy on supervised positions, with the projection onto the vocabulary inside it.

Why: logits of 49,000 or 150,000 numbers a token are the largest tensor of a step, and autograd keeps several of them in float32.
Here a chunk of positions is projected, its loss and the gradient of its loss are computed at once, and the chunk is let go: what
is kept is the gradient of the hidden states, which is as small as they are (the idea of Liger Kernel, Hsu et al. 2024, arXiv
2410.10989, and of Wijmans et al. 2024, arXiv 2411.09009).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from peft import PeftModel
from torch.nn import functional
from transformers import PreTrainedModel

from tunewell.model.attention import row_logits
from tunewell.model.load import Choice
from tunewell.train.batches import PackedRow

CHUNK = 128
"""Positions projected at once: 49,152 × 128 numbers in float32 are 25 MB."""
CHUNK_OF_A_TRAINED_HEAD = 512
"""The same where the head is trained: a chunk then also reads and writes a gradient as large as the head: fewer and larger ones."""
_ECHO = 1024.0
"""Exact in every format, and bent or scaled by every architecture that does so to its logits."""


class LossHead(torch.nn.Linear):
    """What an output head becomes: a linear layer that gives the loss in place of logits while it knows the targets."""

    targets: torch.Tensor | None

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits, or, within `scored`, the mean cross-entropy (nats) in a tensor of shape (1, 1, 1)."""
        if self.targets is None:
            return super().forward(hidden)
        device = hidden.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
        loss: torch.Tensor = _ProjectedLoss.apply(  # type: ignore[no-untyped-call]
            hidden.flatten(0, -2).to(dtype), self.weight, self.bias, self.targets
        )
        return loss.view(1, 1, 1)

    @contextmanager
    def scored(self, targets: torch.Tensor) -> Iterator[None]:
        """While this is open the head gives the loss of these targets."""
        self.targets = targets
        try:
            yield
        finally:
            self.targets = None


def supervised_loss(model: torch.nn.Module, head: torch.nn.Module, packed: PackedRow) -> torch.Tensor:
    """Mean cross-entropy (nats) over the supervised tokens of a row. `head` is the model's output head."""
    if not isinstance(head, LossHead):
        logits = row_logits(model, packed.row, packed.keep)
        return functional.cross_entropy(logits.float(), packed.targets.to(logits.device))
    with head.scored(packed.targets.to(head.weight.device)):
        return row_logits(model, packed.row, packed.keep).squeeze()


def output_head(model: torch.nn.Module) -> torch.nn.Module:
    """The layer that projects onto the vocabulary, of a model or of one that wraps it in an adapter."""
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    head: torch.nn.Module = cast("PreTrainedModel", base).get_output_embeddings()
    return head


def choose_loss(model: torch.nn.Module, sample: PackedRow) -> Choice:
    """Turn the output head into a `LossHead` in place, where the architecture hands on what its head gives; tried on `sample`."""
    head = output_head(model)
    if type(head) is not torch.nn.Linear:
        return Choice("all logits at once", f"the output head is no plain linear layer but {type(head).__name__}")
    with torch.no_grad():
        head.__class__ = _Echo
        is_handed_on = torch.equal(row_logits(model, sample.row, sample.keep).float().cpu(), torch.tensor([[_ECHO]]))
    if not is_handed_on:
        head.__class__ = torch.nn.Linear
        return Choice("all logits at once", "this architecture does more to its logits than to project")
    head.__class__ = LossHead
    head.targets = None  # type: ignore[assignment]  # now a LossHead
    return Choice("loss in chunks", f"at most {CHUNK} positions are projected onto the vocabulary at once")


class _Echo(torch.nn.Linear):
    """A head that says the same whatever it hears."""

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden.new_full((1, 1, 1), _ECHO)


class _ProjectedLoss(torch.autograd.Function):
    """The mean loss; its gradients are made in the forward pass, chunk by chunk, and only scaled in the backward pass."""

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, targets: torch.Tensor
    ) -> torch.Tensor:
        loss = torch.zeros((), device=hidden.device)
        matrix = weight.to(hidden.dtype)
        shift = None if bias is None else bias.to(hidden.dtype)
        on_hidden = torch.empty_like(hidden)
        on_weight = on_bias = None
        size = CHUNK_OF_A_TRAINED_HEAD if ctx.needs_input_grad[1] else CHUNK
        for start in range(0, len(targets), size):
            rows = hidden[start : start + size]
            logits = functional.linear(rows, matrix, shift).float()
            on_logits = _add_loss(loss, logits, targets[start : start + size], count=len(targets)).to(rows.dtype)
            torch.mm(on_logits, matrix, out=on_hidden[start : start + size])
            if ctx.needs_input_grad[1]:
                on_weight = _sum(on_weight, on_logits.t() @ rows)
            if ctx.needs_input_grad[2]:
                on_bias = _sum(on_bias, on_logits.sum(dim=0))
        ctx.save_for_backward(on_hidden, on_weight, on_bias)
        ctx.dtypes = (hidden.dtype, weight.dtype, None if bias is None else bias.dtype)
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        factor = gradients[0]
        found = ctx.saved_tensors
        if factor != 1:  # a pass over a gradient as large as the head is not free
            found = [None if tensor is None else tensor * factor for tensor in found]
        return *(None if tensor is None else tensor.to(dtype) for tensor, dtype in zip(found, ctx.dtypes, strict=True)), None


def _add_loss(loss: torch.Tensor, logits: torch.Tensor, targets: torch.Tensor, *, count: int) -> torch.Tensor:
    """Add the loss of a chunk, divided by `count`, to `loss`, and give its gradient: (softmax less one at the target) / `count`.

    The gradient is written over the logits.
    """
    rows = torch.arange(len(targets), device=logits.device)
    logits.sub_(logits.amax(dim=-1, keepdim=True))
    at_targets = logits[rows, targets]
    total = logits.exp_().sum(dim=-1, keepdim=True)
    loss += (total.squeeze(-1).log() - at_targets).sum() / count
    logits.div_(total.mul_(count))
    logits[rows, targets] -= 1 / count
    return logits


def _sum(total: torch.Tensor | None, part: torch.Tensor) -> torch.Tensor:
    """In float32: a sum of parts in bfloat16 would lose the small ones."""
    return part.float() if total is None else total.add_(part)
