"""The verdict: each claim about gain and loss passes, fails, or is left open, with the reason in words."""

from tunewell.gate.stage import run

__all__ = ["run"]
