"""Training: the base model and a mixture of rows become an adapter."""

from tunewell.train.stage import run

__all__ = ["run"]
