"""Several settings side by side on the same items: which to take, and whether the data can tell."""

from tunewell.sweep.prompt import ITEMS, sweep_prompt

__all__ = ["ITEMS", "sweep_prompt"]
