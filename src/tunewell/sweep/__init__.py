"""Several settings side by side on the same items: which to take, and whether the data can tell."""

from tunewell.sweep.presets import RATIOS, SHARES, continued, methods, ratios, reasoned, scales
from tunewell.sweep.prompt import ITEMS, sweep_prompt
from tunewell.sweep.runs import Witness, sweep_trials
from tunewell.sweep.trials import Planned, Preset

__all__ = [
    "ITEMS",
    "RATIOS",
    "SHARES",
    "Planned",
    "Preset",
    "Witness",
    "continued",
    "methods",
    "ratios",
    "reasoned",
    "scales",
    "sweep_prompt",
    "sweep_trials",
]
