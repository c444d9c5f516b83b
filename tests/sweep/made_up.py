"""Runs that nobody made: the files that a sweep reads of a finished run, with answers of known quality."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.sweep.answers import answers
from tunewell.pipeline import Caller, stage_folder
from tunewell.records import RESULT_SCHEMA, Result, result_to_row
from tunewell.store import write_json, write_rows
from tunewell.sweep.apart import Job


def make_run(folder: Path, shares: Sequence[float], **said: Any) -> None:
    """A finished run: each share is how much of an item's reference the tuned model gives.

    `said` may hold `verdict`, `seconds`, `memory`, `domain_rows`, `per_family` and `judged` (the places of judged items).
    """
    verdict = said.get("verdict", "pass")
    write_json(folder / "metrics.json", {"verdict": verdict, "reason": f"so it {verdict}es", "reason_zh": "如此"})
    training = {"seconds": said.get("seconds", 10.0), "peak_rss_bytes": said.get("memory", 1 << 30)}
    write_json(stage_folder(folder, "train") / "training.json", training)
    pools = [{"pool": "domain", "rows": said.get("domain_rows", 30)}, {"pool": "open", "rows": 10}]
    write_json(stage_folder(folder, "mix") / "mixture.json", {"pools": pools})
    domain = answers(shares, per_family=said.get("per_family", 1))
    judged = {f"i{place}": {"judge_score": 5.0 * share} for place, share in enumerate(shares) if place in said.get("judged", ())}
    tuned = [replace(result, model="tuned", measures={**result.measures, **judged.get(result.item, {})}) for result in domain]
    retention = [_retention(place, model, 0.5) for place in range(4) for model in ("base", "tuned")]
    write_rows(stage_folder(folder, "evaluate") / "results", RESULT_SCHEMA, map(result_to_row, [*domain, *tuned, *retention]))


class Worker:
    """In place of a process: makes the run of each trial up, or says what it died of. Notes what it was asked for."""

    def __init__(self, shares: Mapping[str, Sequence[float]], *, dies: Mapping[str, str] | None = None, **said: Any) -> None:
        self.shares, self.dies, self.said = shares, dict(dies or {}), said
        self.asked: list[str] = []

    def __call__(self, job: Job, caller: Caller) -> str:
        name = job.folder.name
        self.asked.append(f"{name}:{job.recipe.seed}")
        if name in self.dies:
            return self.dies[name]
        if job.until == "report":
            make_run(job.folder, self.shares[name], **self.said.get(name, {}))
        return ""


def _retention(place: int, model: Any, probability: float) -> Result:
    measures = {"probability": probability, "correct": 1.0}
    return Result("retention", "reading", f"r{place}", f"r{place}", "en", model, "?", "a", "a", measures)
