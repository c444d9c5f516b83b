"""Rows that a model writes: so far the base model's own answers to general prompts."""

from tunewell.generate.stage import run

__all__ = ["run"]
