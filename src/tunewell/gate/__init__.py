"""The verdict: each claim about gain and loss passes, fails, or is left open, with the reason in words."""

from tunewell.gate.claims import Claim
from tunewell.gate.judge import FEWEST
from tunewell.gate.stage import judge_results, run

__all__ = ["FEWEST", "Claim", "judge_results", "run"]
