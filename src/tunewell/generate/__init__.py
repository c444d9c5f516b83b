"""Rows that a model writes: a teacher's, each proved by checks, and the base model's own answers to general prompts."""

from tunewell.generate.stage import run, write_card

__all__ = ["run", "write_card"]
