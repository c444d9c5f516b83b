"""Rows that a model writes: a teacher's, each proved by checks, and the base model's own answers to general prompts."""

from tunewell.generate.stage import note_review, noted_review, run

__all__ = ["note_review", "noted_review", "run"]
