"""The guard `guard.kl`: on replay rows the tuned model is held near the base, token by token."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from peft import PeftModel
from torch.nn import functional

from tunewell.model.attention import row_logits
from tunewell.template import Encoded
from tunewell.train.batches import ROW_MULTIPLE, PackedRow, Step, pack
from tunewell.train.trainer import Notes, PackedTrainer


class GuardedTrainer(PackedTrainer):
    """A trainer that adds `weight` × KL(base ‖ tuned) of each answer token of a replay row to that token's loss.

    `replay` gives the replay rows of a step, or None where it has none. The divergence of a step, summed and divided by
    all its supervised tokens as the loss is, is written to `notes` under the step's number.
    """

    def __init__(self, *, weight: float, replay: Callable[[int], PackedRow | None], notes: Notes, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._weight = weight
        self._replay = replay
        self._notes = notes

    def compute_loss(self, model: torch.nn.Module, inputs: Mapping[str, PackedRow], **options: Any) -> torch.Tensor:  # type: ignore[override]
        """The loss of the row and the weighted divergence of its replay rows, both in nats per supervised token."""
        step = self.state.global_step
        replay = self._replay(step)
        if replay is None:
            self._notes[step + 1] = {"kl": 0.0}
            return super().compute_loss(model, inputs, **options)
        with torch.autocast(self.args.device.type, dtype=self._autocast or torch.float32, enabled=self._autocast is not None):
            divergence = kl_to_base(model, cast("PeftModel", self.model), replay) / len(inputs["packed"].targets)
        self._notes[step + 1] = {"kl": round(divergence.item(), 6)}
        return super().compute_loss(model, inputs, **options) + self._weight * divergence


def kl_to_base(tuned: torch.nn.Module, adapted: PeftModel, packed: PackedRow) -> torch.Tensor:
    """KL(base ‖ tuned) in nats, summed over the positions that predict an answer token.

    The base is the adapted model with its adapter switched off, so that no second model is in memory. `tuned` is the adapted
    model, or what wraps it.
    """
    with torch.no_grad(), adapted.disable_adapter():
        base = row_logits(adapted, packed.row, packed.keep).float().log_softmax(dim=-1)
    own = row_logits(tuned, packed.row, packed.keep).float().log_softmax(dim=-1)
    return functional.kl_div(own, base, reduction="sum", log_target=True)


def replay_row(examples: Sequence[Encoded], is_replay: Sequence[bool], steps: Sequence[Step], step: int) -> PackedRow | None:
    """The replay rows of a step as a row of their own, or None where it has none."""
    chosen = [examples[index] for index in steps[step].examples if is_replay[index]]
    return pack(chosen, multiple_of=ROW_MULTIPLE) if chosen else None
