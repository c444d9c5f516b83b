"""Everything the report tells, read from the run folder and the stages' folders."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewell.errors import DataError
from tunewell.records import Dropped, Result
from tunewell.store import Manifest, read_dropped, read_results

STAGES = ("collect", "generate", "clean", "mix", "train", "evaluate", "gate")
_DROPPED_SHOWN = 5
_DROPPED_LOOKED_AT = 20_000


@dataclass(frozen=True, slots=True)
class Facts:
    """What the stages of one run left behind. Mappings hold the JSON of the file they are named after.

    `account` is empty where the run is from before there were teachers; `rejected` are rows that its checks rejected.
    `judge` is None where no judge was asked.
    """

    run_name: str
    run: Mapping[str, Any]
    recipe_text: str
    manifests: Mapping[str, Manifest]
    account: Mapping[str, Any]
    rejected: Sequence[Dropped]
    funnel: Mapping[str, Any]
    mixture: Mapping[str, Any]
    training: Mapping[str, Any]
    log: Sequence[Mapping[str, Any]]
    preview: Sequence[Mapping[str, Any]]
    dropped: Sequence[Dropped]
    results: Sequence[Result]
    gate: Mapping[str, Any]
    judge: Mapping[str, Any] | None

    def claim(self, name: str) -> Mapping[str, Any] | None:
        """The gate's claim of this name, or None where its probe was turned off."""
        return next((claim for claim in self.gate["claims"] if claim["name"] == name), None)

    def count(self, stage: str, name: str) -> int:
        """A count from a stage's manifest, 0 where the stage left none."""
        manifest = self.manifests.get(stage)
        return manifest.counts.get(name, 0) if manifest else 0


def read_facts(inputs: Mapping[str, Path]) -> Facts:
    """Read what the stages left. Raises `DataError` naming the file that is missing or broken, and how to get it back."""
    run_folder = inputs["run"]
    dropped_folders = [inputs["collect"] / "dropped", inputs["clean"] / "dropped"]
    return Facts(
        run_name=run_folder.resolve().name,
        run=_read_json(run_folder / "run.json", stage=""),
        recipe_text=_read_text(run_folder / "recipe.yaml", stage=""),
        manifests={stage: manifest for stage in STAGES if (manifest := Manifest.read(inputs[stage]))},
        account=_read_account(inputs["generate"] / "account.json"),
        rejected=_one_of_each_reason(_dropped_in(inputs["generate"] / "dropped")),
        funnel=_read_json(inputs["clean"] / "funnel.json", stage="clean"),
        mixture=_read_json(inputs["mix"] / "mixture.json", stage="mix"),
        training=_read_json(inputs["train"] / "training.json", stage="train"),
        log=_read_log(inputs["train"] / "log.jsonl"),
        preview=_read_json(inputs["train"] / "preview.json", stage="train"),
        dropped=_one_of_each_reason(itertools.chain.from_iterable(map(_dropped_in, dropped_folders))),
        results=tuple(read_results(inputs["evaluate"] / "results")),
        gate=_read_json(inputs["gate"] / "metrics.json", stage="gate"),
        judge=_read_judge(inputs["evaluate"] / "judge.json"),
    )


def _read_text(path: Path, *, stage: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        again = f"`tunewell run RECIPE --from {stage}` makes it again" if stage else "`tunewell run RECIPE` makes it again"
        raise DataError("the report needs this file, and it cannot be read", where=str(path), hint=again) from None


def _read_json(path: Path, *, stage: str) -> Any:
    text = _read_text(path, stage=stage)
    try:
        return json.loads(text)
    except ValueError as error:
        raise DataError(
            f"is not JSON: {error}", where=str(path), hint=f"`tunewell run RECIPE --from {stage}` makes it again"
        ) from None


def _read_account(path: Path) -> Mapping[str, Any]:
    account: Mapping[str, Any] = _read_json(path, stage="generate") if path.exists() else {}
    return account


def _read_judge(path: Path) -> Mapping[str, Any] | None:
    health: Mapping[str, Any] | None = _read_json(path, stage="evaluate") if path.exists() else None
    return health


def _read_log(path: Path) -> tuple[Mapping[str, Any], ...]:
    lines = _read_text(path, stage="train").splitlines()
    return tuple(json.loads(line) for line in lines if line.strip())


def _dropped_in(folder: Path) -> Iterable[Dropped]:
    return read_dropped(folder) if any(folder.glob("part-*.parquet")) else ()


def _one_of_each_reason(dropped: Iterable[Dropped]) -> tuple[Dropped, ...]:
    """Five rows: the first of every reason, then the next ones in order. Only so many rows are looked at."""
    looked_at = list(itertools.islice(dropped, _DROPPED_LOOKED_AT))
    first: dict[str, Dropped] = {}
    for row in looked_at:
        first.setdefault(row.reason, row)
    chosen = list(first.values())
    others = (row for row in looked_at if first[row.reason] is not row)
    return tuple(itertools.islice(itertools.chain(chosen, others), _DROPPED_SHOWN))
