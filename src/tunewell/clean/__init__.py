"""Cleaning: each row is kept, or dropped with a reason, a detail and a row on disk."""

from tunewell.clean.rules import RULES
from tunewell.clean.stage import run

__all__ = ["RULES", "run"]
