"""How long training takes: floating-point operations, and the share of a place's peak that training reaches."""

from tunewell.plan.job import Band, Job
from tunewell.plan.place import Place
from tunewell.plan.shapes import Shapes


def flops_per_token(shapes: Shapes, job: Job, length: float) -> float:
    """Useful operations for one token of an example of this mean length.

    Twice the parameters it passes through forward, as many again for the gradient of what came in, and as many for the gradient
    of what is trained: 6 N for full fine-tuning, 4 N and 6 for each number of the adapter for LoRA, 2 N more where layers are
    computed anew. Attention looks back at half of the example; the head counts where it is projected.
    """
    passed = shapes.active + shapes.vocabulary * shapes.hidden * job.projected.middle
    passes = (6 if job.method == "full" else 4) + (2 if job.checkpointing else 0)
    attention = shapes.layers * shapes.queries * length * (8 if job.checkpointing else 6)
    return passes * passed + 6 * shapes.adapter + attention


def hours(operations: float | None, job: Job, place: Place) -> Band | None:
    """The time of so many operations on the job's GPUs, at the high share of their peak and at the low one; None where unknown."""
    if operations is None or place.peak is None:
        return None
    whole, share = operations / (job.gpus * place.peak * 3600), place.share(job)
    return Band(whole / share.high, whole / share.low)
