"""How much memory training needs on each GPU, or in a process on the CPU, part by part."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from tunewell.bundled import read_yaml
from tunewell.plan.job import Band, Job
from tunewell.plan.shapes import Shapes

Device = Literal["gpu", "cpu"]

_QUANTISED = 0.5 + (1 + 4 / 256) / 64
"""Bytes of an NF4 number: half a byte, and a constant for 64 numbers, itself quantised (Dettmers et al. 2023, arXiv 2305.14314)."""

_SHARDED: Mapping[str, tuple[str, ...]] = {
    "ddp": (),
    "zero2": ("master weights", "gradients", "optimiser"),
    "zero3": ("weights", "quantised weights", "master weights", "gradients", "optimiser", "adapter"),
    "fsdp": ("weights", "quantised weights", "master weights", "gradients", "optimiser", "adapter"),
}
"""What is cut into as many pieces as there are GPUs (Rajbhandari et al. 2020, arXiv 1910.02054)."""


class Memory(NamedTuple):
    """Bytes of each part, and of all together."""

    parts: dict[str, Band]

    @property
    def total(self) -> Band:
        """The sum of all parts."""
        return Band(sum(part.low for part in self.parts.values()), sum(part.high for part in self.parts.values()))


def memory(shapes: Shapes, job: Job, device: Device = "gpu") -> Memory:
    """Bytes by part. What stays for the whole run is exact; activations, logits and workspace are bands (docs/plan.md)."""
    parts = {name: Band(size, size) for name, size in _states(shapes, job).items()}
    if job.gpus > 1:
        parts = _shard(parts, shapes, job)
    activations, logits = _activations(shapes, job), _larger(_logits(shapes, job), _passing(shapes, job))
    moving = Band(activations.low + logits.low, activations.high + logits.high)
    beyond = _beyond(moving, parts["gradients"])
    parts["activations"], parts["logits"] = activations.times(*beyond), logits.times(*beyond)
    parts["workspace"] = _workspace(Memory(parts).total, moving, device)
    return Memory({name: part for name, part in parts.items() if part.high})


def _states(shapes: Shapes, job: Job) -> dict[str, float]:
    wide = 2 if job.numbers == "bf16" else 4
    narrow = 4 if job.numbers == "fp32" else 2
    trained = shapes.trained
    copies = narrow if job.numbers == "mixed" else 0
    frozen: dict[str, float]
    if job.method == "full":
        frozen = {"weights": shapes.parameters * (copies or narrow), "master weights": shapes.parameters * wide if copies else 0}
    elif job.method == "qlora":
        frozen = {"quantised weights": shapes.linear * _QUANTISED, "weights": (shapes.parameters - shapes.linear) * narrow}
    else:
        frozen = {"weights": shapes.parameters * narrow}
    return {**frozen, "adapter": shapes.adapter * (wide + copies), "gradients": trained * wide, "optimiser": 2 * trained * wide}


def _shard(parts: Mapping[str, Band], shapes: Shapes, job: Job) -> dict[str, Band]:
    cut = _SHARDED[job.sharding]
    shares = {name: part.times(1 / job.gpus) if name in cut else part for name, part in parts.items()}
    if "weights" in cut:
        # one layer is whole while it works, and the next is on its way
        shares["gathered layers"] = Band(2 * shapes.largest, 4 * shapes.largest)
    else:
        # ddp keeps gradients once more, as what is sent; zero2 keeps 16-bit ones until they are reduced
        shares["sent gradients"] = Band(0, parts["gradients"].low if job.sharding == "ddp" else parts["gradients"].low / 2)
    return shares


def saved_in_layer(shapes: Shapes, job: Job) -> Band:
    """Bytes that one layer keeps of one token for the backward pass.

    Inputs of normalisations in fp32, inputs of linear layers that are trained or carry an adapter, queries, keys, values and
    output of attention (whose weights no fused kernel keeps), gate, its activation, up and their product (Korthikanti et al. 2022,
    arXiv 2205.05198, without dropout). The low end shares keys and values among heads, the high end repeats them.
    """
    number = 4 if job.numbers == "fp32" else 2
    norms = 2 * 4 * shapes.hidden + (2 * number * shapes.hidden if job.method == "full" and number == 2 else 0)
    inner = 2 * shapes.streams * shapes.feed_forward
    low = 2 * shapes.hidden + 2 * shapes.queries + 2 * shapes.keys + inner
    high = 2 * shapes.hidden + 5 * shapes.queries + inner
    if job.dora:
        # the length of each output is trained: results of the base and of the adapter are kept, and maybe their products
        outputs = 2 * shapes.hidden + shapes.queries + 2 * shapes.keys + shapes.streams * shapes.feed_forward
        low, high = low + 2 * outputs, high + 4 * outputs
    return Band(norms + number * low, norms + number * high)


def _activations(shapes: Shapes, job: Job) -> Band:
    tokens, layer = job.row_tokens, saved_in_layer(shapes, job)
    if not job.checkpointing:
        return Band(shapes.layers * tokens.low * layer.low, shapes.layers * tokens.high * layer.high)
    number = 4 if job.numbers == "fp32" else 2
    # layers dequantised for one product hand their result on in the format of the frozen rest, 16 bits or 32
    kept = shapes.layers * shapes.hidden
    wide = 4 if job.method == "qlora" else number
    return Band(tokens.low * kept * number, tokens.high * kept * wide)


def _passing(shapes: Shapes, job: Job) -> Band:
    """What one layer needs while it goes backward, its gradients included; under checkpointing it is computed anew before."""
    tokens, layer = job.row_tokens, saved_in_layer(shapes, job)
    number = 4 if job.numbers == "fp32" else 2
    flowing = number * (shapes.hidden + shapes.streams * shapes.feed_forward)
    again = layer if job.checkpointing else Band(0, 0)
    return Band(tokens.low * (again.low + flowing), tokens.high * (again.high + flowing))


def _logits(shapes: Shapes, job: Job) -> Band:
    """Logits in the format of the model and in fp32, their logarithms, and their gradient; of a chunk, and what it leaves."""
    tokens = job.row_tokens
    number = 4 if job.numbers == "fp32" else 2
    positions = Band(tokens.low * job.projected.low, tokens.high * job.projected.high)
    low, high = (min(count, job.chunk or count) for count in positions)
    left = positions.times(number * shapes.hidden if job.chunk else 0)
    return Band(left.low + low * shapes.vocabulary * (number + 12), left.high + high * shapes.vocabulary * 16)


def _larger(logits: Band, passing: Band) -> Band:
    """Logits are gone before the layers go backward: the larger of both counts."""
    return Band(max(logits.low, passing.low), max(logits.high, passing.high))


def _beyond(moving: Band, gradients: Band) -> Band:
    """The shares of what is kept for the backward pass that count: gradients come as it goes, and are not there before."""
    return Band(*(max(0.0, 1 - held / kept) for kept, held in zip(moving, gradients, strict=True)))


def _workspace(all_parts: Band, moving: Band, device: Device) -> Band:
    """The process itself, and what the allocator holds beside what is used."""
    figures = read_yaml("plan", "workspace.yaml")[device]
    base = Band(*figures["process_mib"]).times(2**20)
    loose, fixed = Band(*figures["share_of_moving"]), Band(*figures["share_of_all"])
    return Band(
        base.low + moving.low * loose.low + all_parts.low * fixed.low,
        base.high + moving.high * loose.high + all_parts.high * fixed.high,
    )
