"""The verdict: each claim about gain and loss passes, fails, or is left open, with the reason in words."""

from tunewell.gate.claims import Claim
from tunewell.gate.contrast import Aligned, Contrast, align_models, contrasts
from tunewell.gate.judge import FEWEST
from tunewell.gate.stage import judge_results, run

__all__ = ["FEWEST", "Aligned", "Claim", "Contrast", "align_models", "contrasts", "judge_results", "run"]
