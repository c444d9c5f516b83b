"""Base and tuned model on the same items: generations, likelihoods, probes."""

from tunewell.evaluate.stage import run

__all__ = ["run"]
