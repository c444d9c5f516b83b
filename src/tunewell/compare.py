"""Finished runs side by side: their scores on the same items, and what differs in their recipes and their training rows."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tunewell.errors import DataError, UserError
from tunewell.gate import align_models, contrasts
from tunewell.pipeline import stage_folder
from tunewell.store import Manifest, read_examples, read_results

_ABSENT = "–"


class Change(NamedTuple):
    """A key of the recipe on which runs differ, and the value of each."""

    key: str
    values: tuple[str, ...]


def compare_runs(runs: Sequence[Path], *, confidence: float) -> dict[str, Any]:
    """Compare the tuned model of each run with that of the first, on the items that both answered.

    Returns JSON values: `runs`; `recipe`, the keys that differ with each run's value; and `pairs`, one for each run but the first,
    with the shared and unshared items, the training rows of either, and the measures. Raises `UserError` where a folder is no run
    or there are not two, and `DataError` where a run is not evaluated.
    """
    if len(runs) < 2:
        raise UserError("there is nothing to compare with", where="compare", hint="name two runs or more: tunewell compare A B")
    recipes = [_recipe(run) for run in runs]
    for run in runs:
        if Manifest.read(stage_folder(run, "evaluate")) is None:
            hint = f"do `tunewell evaluate {run / 'recipe.yaml'} --run {run}` first"
            raise DataError("this run is not evaluated", where=str(run), hint=hint)
    # Read once for each pair: the answers of many runs need not be in memory together.
    aligned = [align_models(_results(runs[0]), _results(run)) for run in runs[1:]]
    measures = contrasts(aligned, confidence=confidence)
    pairs = [
        {
            "first": str(runs[0]),
            "second": str(run),
            "items": sum(map(len, items.probes.values())),
            **{key: getattr(items, key) for key in ("only_first", "only_second", "changed")},
            "rows": _rows(runs[0], run),
            "measures": [asdict(one) for one in found],
        }
        for run, items, found in zip(runs[1:], aligned, measures, strict=True)
    ]
    changes = [change._asdict() for change in recipe_changes(recipes)]
    return {"runs": list(map(str, runs)), "confidence": confidence, "recipe": changes, "pairs": pairs}


def recipe_changes(recipes: Sequence[Mapping[str, Any]]) -> list[Change]:
    """The keys on which recipes differ, in the order of the first that has them.

    >>> recipe_changes([{"train": {"rank": 8}, "seed": 0}, {"train": {"rank": 16}, "seed": 0}])
    [Change(key='train.rank', values=('8', '16'))]
    """
    flat = [_flat(recipe) for recipe in recipes]
    keys = dict.fromkeys(key for recipe in flat for key in recipe)
    values = {key: tuple(recipe.get(key, _ABSENT) for recipe in flat) for key in keys}
    return [Change(key, found) for key, found in values.items() if len(set(found)) > 1]


def _flat(node: Any, prefix: str = "") -> dict[str, str]:
    if not isinstance(node, Mapping) or not node:
        return {
            prefix: yaml.safe_dump(node, allow_unicode=True, default_flow_style=True, width=10_000).removesuffix("...\n").strip()
        }
    flat: dict[str, str] = {}
    for key, value in node.items():
        flat |= _flat(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _recipe(run: Path) -> Mapping[str, Any]:
    try:
        recipe = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        recipe = None
    if not isinstance(recipe, dict):
        hint = "give the folder of a run, such as runs/demo-en, after `tunewell run`"
        raise UserError("this is no run", where=str(run), hint=hint)
    return recipe


def _results(run: Path) -> Any:
    return read_results(stage_folder(run, "evaluate") / "results")


def _rows(first: Path, second: Path) -> dict[str, dict[str, int]]:
    """By pool, how many training rows both runs have, and how many one of them alone; copies are counted."""
    one, other = _trained(first), _trained(second)
    pools = sorted({pool for pool, _ in one | other})

    def count(rows: Counter[tuple[str, str]], pool: str) -> int:
        return sum(copies for (place, _), copies in rows.items() if place == pool)

    parts = {"both": one & other, "only_first": one - other, "only_second": other - one}
    return {pool: {name: count(rows, pool) for name, rows in parts.items()} for pool in pools}


def _trained(run: Path) -> Counter[tuple[str, str]]:
    return Counter((example.pool, example.id) for example in read_examples(stage_folder(run, "mix") / "train"))
