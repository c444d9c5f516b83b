"""What is planned: a way of training, and bands of figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Method = Literal["full", "lora", "qlora"]
Numbers = Literal["mixed", "bf16", "fp32"]
"""`mixed`: products in bf16, trained weights in fp32; `bf16`: these and the optimiser in bf16 too; `fp32`: all in fp32."""
Sharding = Literal["ddp", "zero2", "zero3", "fsdp"]


class Band(NamedTuple):
    """A figure between its low and its high."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        """Halfway."""
        return (self.low + self.high) / 2

    def times(self, low: float, high: float | None = None) -> "Band":
        """Both ends multiplied."""
        return Band(self.low * low, self.high * (low if high is None else high))

    def in_gib(self) -> dict[str, float]:
        """Both ends, from bytes to GiB."""
        return {"low": round(self.low / 2**30, 3), "high": round(self.high / 2**30, 3)}


_ANSWERS = Band(0.3, 1.0)
"""Share of a row that is trained, where no rows tell: short answers to long prompts, or nearly all."""


@dataclass(frozen=True, slots=True)
class Job:
    """One way of training a model.

    `batch_tokens` are the tokens of an optimiser step on all GPUs together; a GPU takes its part of them at once, and at least one
    example. `projected` is the share of positions that the vocabulary is projected on, `longest` the longest example in tokens
    where it is known, `chunk` the positions projected at once (0: all).
    """

    method: Method = "lora"
    rank: int = 16
    targets: str | Sequence[str] = "all-linear"
    dora: bool = False
    context: int = 512
    batch_tokens: int = 1024
    numbers: Numbers = "mixed"
    checkpointing: bool = False
    gpus: int = 1
    sharding: Sharding = "ddp"
    projected: Band = _ANSWERS
    longest: int = 0
    chunk: int = 0

    @property
    def row_tokens(self) -> Band:
        """Tokens that one GPU takes at once: whole examples, as many as go into its part of the step, and at least one."""
        share = -(-self.batch_tokens // self.gpus)
        return Band(max(share / 2, share - self.context / 2), max(share, self.longest or self.context))
