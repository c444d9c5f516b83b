"""How many tokens a plan's rows have: counted in the run's mixture, or estimated from the files."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from tunewell.errors import TemplateError
from tunewell.plan.job import Band
from tunewell.records import Example, Pool
from tunewell.template import Loss, PromptFormat, supervised

SAMPLE = 5_000


class Rows(NamedTuple):
    """Rows of one epoch, and where the figures are from.

    `tokens` and `supervised` (those whose loss is taken) are of rows that fit into `train.context`; `share` is the supervised share
    of a step, on average and in the step that has the most.
    """

    domain: int
    open: int
    tokens: int
    supervised: int
    longest: int
    left_out: int
    share: Band
    source: str

    @property
    def trained(self) -> int:
        """Rows that are trained."""
        return self.domain + self.open - self.left_out

    @property
    def mean(self) -> float:
        """Tokens of a row on average."""
        return self.tokens / max(1, self.trained)


class Measured(NamedTuple):
    """Lengths of the rows that fit, their supervised tokens, how many rows were looked at, and how many of them fit not."""

    lengths: list[int]
    supervised: list[int]
    looked_at: int
    left_out: int


def measure(examples: Iterable[Example], chat: PromptFormat, loss: Loss, *, context: int) -> Measured:
    """Lengths of the rows as they are trained; rows that the template refuses or that are longer than `context` are left out."""
    lengths, trained, looked_at = [], [], 0
    for encoded in chat.encode_each((example.messages for example in examples), loss):
        looked_at += 1
        if isinstance(encoded, TemplateError) or len(encoded.ids) > context or not supervised(encoded):
            continue
        lengths.append(len(encoded.ids))
        trained.append(sum(label >= 0 for label in encoded.labels))
    return Measured(lengths, trained, looked_at, looked_at - len(lengths))


def rows_from(measured: Measured, counts: Mapping[Pool, int], *, batch_tokens: int, source: str) -> Rows:
    """What measured rows say of all rows, `counts` of them by pool."""
    every = counts["domain"] + counts["open"]
    scale = every / max(1, measured.looked_at)
    tokens, trained = sum(measured.lengths), sum(measured.supervised)
    return Rows(
        domain=counts["domain"],
        open=counts["open"],
        tokens=round(tokens * scale),
        supervised=round(trained * scale),
        longest=max(measured.lengths, default=0),
        left_out=round(measured.left_out * scale),
        share=Band(trained / max(1, tokens), _most(measured.lengths, measured.supervised, batch_tokens)),
        source=source,
    )


def every_nth(examples: Iterable[Example], count: int, *, most: int = SAMPLE) -> Iterable[Example]:
    """At most so many of `count` examples, evenly spread."""
    return islice(islice(examples, 0, None, max(1, -(-count // most))), most)


def mixed_counts(found: Mapping[Pool, int], ratio: Mapping[Pool, float], *, held_out: float) -> dict[Pool, int]:
    """Rows that a mixture in this ratio takes from pools of these sizes, where a short pool shrinks the other.

    >>> mixed_counts({"domain": 100, "open": 10}, {"domain": 3, "open": 1}, held_out=0.1)
    {'domain': 30, 'open': 10}
    """
    rows: dict[Pool, float] = {"domain": found["domain"] * (1 - held_out), "open": float(found["open"])}
    asked = [pool for pool in rows if ratio[pool] and rows[pool]]
    unit = min((rows[pool] / ratio[pool] for pool in asked), default=0.0)
    return {pool: round(unit * ratio[pool]) if pool in asked else 0 for pool in rows}


def _most(lengths: Sequence[int], trained: Sequence[int], batch_tokens: int) -> float:
    """The supervised share of a step filled with the rows that have the largest share."""
    tokens = together = 0
    for length, own in sorted(zip(lengths, trained, strict=True), key=lambda row: row[1] / row[0], reverse=True):
        tokens += length
        together += own
        if tokens >= batch_tokens:
            break
    return together / max(1, tokens)
