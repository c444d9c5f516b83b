"""What the seed's table of data volumes says about a plan."""

from collections.abc import Mapping
from typing import Any

from tunewell.bundled import read_yaml


def advise(method: str, figures: Mapping[str, float]) -> list[str]:
    """The rules of the volume table that hold; a rule whose figures are not known is passed over."""
    return [rule["text"].format(**figures) for rule in read_yaml("plan", "volume.yaml")["rules"] if _holds(rule, method, figures)]


def _holds(rule: Mapping[str, Any], method: str, figures: Mapping[str, float]) -> bool:
    if method not in rule.get("methods", (method,)):
        return False
    bounds = rule["between"]
    return all(
        name in figures and low <= figures[name] < (float("inf") if high is None else high) for name, (low, high) in bounds.items()
    )
