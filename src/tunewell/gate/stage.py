"""The stage: results in, verdict out."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tunewell.errors import DataError
from tunewell.gate.claims import Claim, claims_of
from tunewell.gate.judge import overall
from tunewell.gate.proposals import proposals, read_measured
from tunewell.gate.series import align
from tunewell.gate.verdict import overall_reason
from tunewell.recipe import Gate, Recipe
from tunewell.records import Result, Summary
from tunewell.store import read_results, write_json

METRICS = "metrics.json"


def run(settings: Recipe, inputs: Mapping[str, Path], out_dir: Path) -> Summary:
    """Judge every claim that the results of the stage `evaluate` allow, and write `metrics.json`.

    Reads the settings `gate`, of the folder `evaluate` its `results/`, its `metrics.json` and whether there is a `judge.json`,
    and for proposals what `mix`, `train` and the dial left. Raises `DataError` when
    these are missing or an item was answered by one model only.
    """
    gate, folder = settings.gate, inputs["evaluate"]
    claims = judge_results(read_results(folder / "results"), gate, where=str(folder / "results"))
    verdict = overall([claim.verdict for claim in claims])
    reason = overall_reason(claims, judged=(folder / "judge.json").exists())
    measured = read_measured(inputs)
    proposed = proposals(claims, measured, floor=gate.retention)
    page = {
        "verdict": verdict,
        "reason": reason.en,
        "reason_zh": reason.zh,
        "confidence": gate.confidence,
        "proposals": [asdict(proposal) for proposal in proposed],
        "claims": [asdict(claim) for claim in claims],
        "dial": None if measured.dial is None else {key: measured.dial[key] for key in ("best", "rows")},
        "metrics": _read_metrics(folder / METRICS),
    }
    write_json(out_dir / METRICS, page)
    tally = Counter(claim.verdict for claim in claims)
    counts = {"claims": len(claims), "pass": tally["pass"], "fail": tally["fail"], "inconclusive": tally["inconclusive"]}
    return Summary(counts, {"verdict": verdict, "reason": reason.en})


def judge_results(results: Iterable[Result], gate: Gate, *, where: str) -> list[Claim]:
    """Every claim that the results of base and tuned model allow, judged by the recipe's margins.

    Raises `DataError` when an item was answered by one model only.
    """
    margins = {
        "retention": gate.retention,
        "brittleness": gate.brittleness,
        "constraints": gate.constraints,
        "leakage": gate.leakage,
        "gap": gate.gap,
    }
    return claims_of(align(results, where=where), margins=margins, confidence=gate.confidence)


def _read_metrics(path: Path) -> list[dict[str, Any]]:
    try:
        metrics: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        raise DataError("holds no metrics that can be read", where=str(path), hint="run `tunewell evaluate` again") from None
    return metrics
