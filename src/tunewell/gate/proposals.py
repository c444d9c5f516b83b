"""What to change about a run whose model forgot too much, from numbers that lie measured in the run."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tunewell.gate.claims import Claim
from tunewell.gate.words import Text, claim_text, number, sentence
from tunewell.store import Manifest

_FORGETTING = ("retention", "brittleness", "constraints", "leakage")
_DEFAULT_SHARE = 1 / 3


@dataclass(frozen=True, slots=True)
class Proposal:
    """One change: what speaks for it in words, and the command or settings that make it."""

    kind: Literal["dial", "checkpoint", "replay"]
    change: str
    text: str
    text_zh: str


class Measured(NamedTuple):
    """What was measured in the run beside the claims: the dial's table (None: not turned), training and its log, the mixture."""

    dial: Mapping[str, Any] | None
    training: Mapping[str, Any]
    log: Sequence[Mapping[str, Any]]
    mixture: Mapping[str, Any]


def read_measured(inputs: Mapping[str, Path]) -> Measured:
    """Read what lies in the folders of the stages `mix` and `train`, and the dial's table where it is of this training.

    What is not there was not measured: it supports no proposal, and is no error here.
    """
    dial, trained = _read(inputs["dial"]), Manifest.read(inputs["train"])
    if dial is not None and (trained is None or dial.get("training") != trained.outputs):
        dial = None
    log = inputs["train"] / "log.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    training, mixture = _read(inputs["train"] / "training.json"), _read(inputs["mix"] / "mixture.json")
    return Measured(dial, training or {}, [json.loads(line) for line in lines], mixture or {})


def proposals(claims: Sequence[Claim], measured: Measured, *, floor: float) -> list[Proposal]:
    """What to change, the surest first; nothing where no claim about forgetting failed and retention is settled.

    Args:
        claims: the claims of the run.
        measured: what else was measured in it.
        floor: the share of retention that may be lost.
    """
    lost = [claim for claim in claims if claim.name in _FORGETTING and claim.verdict == "fail"]
    unsure = [claim for claim in claims if claim.name == "retention" and claim.verdict != "pass"]
    if not lost and not unsure:
        return []
    found = [_dial(measured.dial), _checkpoint(measured, floor=floor) if unsure else None]
    found.append(_replay(measured.mixture, lost) if lost else None)
    return [proposal for proposal in found if proposal is not None]


def _dial(table: Mapping[str, Any] | None) -> Proposal | None:
    """The best value of the dial, where that is neither the base itself nor the model as it is."""
    if table is None or table["best"] in (None, 0, 1):
        return None
    [best] = [row for row in table["rows"] if row["alpha"] == table["best"]]
    text = sentence(
        "proposal_dial",
        alpha=f"{best['alpha']:g}",
        kept=claim_text("retention", "what", "all"),
        gained=claim_text("domain_gain", "unit"),
        retention=number(best["retention"]["tuned"]),
        base=number(best["retention"]["base"]),
        domain=number(best["domain"]["tuned"]),
        domain_base=number(best["domain"]["base"]),
        domain_whole=number(table["rows"][-1]["domain"]["tuned"]),
    )
    return _proposal("dial", "tunewell dial RUN --save", text)


def _checkpoint(measured: Measured, *, floor: float) -> Proposal | None:
    """The last of the looks that the guard took in training that was within the floor, where later ones were not."""
    guard = measured.training.get("guard")
    looks = [line for line in measured.log if "retention" in line]
    if not guard or guard["stopped"] or not looks:
        return None
    least = (1 - floor) * guard["base"]
    within = [look for look in looks if look["retention"] >= least]
    if not within or looks[-1]["retention"] >= least:
        return None
    text = sentence(
        "proposal_checkpoint",
        step=within[-1]["step"],
        steps=measured.training["steps"],
        items=guard["items"],
        score=number(within[-1]["retention"]),
        base=number(guard["base"]),
        least=number(least),
        last=number(looks[-1]["retention"]),
    )
    return _proposal("checkpoint", f"--set guard.floor={floor:g}", text)


def _replay(mixture: Mapping[str, Any], lost: Sequence[Claim]) -> Proposal | None:
    """Twice the share of open rows beside the domain rows."""
    pools = {pool["pool"]: pool for pool in mixture.get("pools", ())}
    if not pools.keys() >= {"open", "domain"}:
        return None
    general, domain = pools["open"], pools["domain"]
    share = 2 * general["rows"] / domain["rows"] if general["rows"] and domain["rows"] else _DEFAULT_SHARE
    separator = sentence("separator")
    names = Text(separator.en.join(claim.title for claim in lost), separator.zh.join(claim.title_zh for claim in lost))
    text = sentence("proposal_replay", lost=names, open=general["rows"], domain=domain["rows"], unused=general["left_out"])
    return _proposal("replay", f"--set data.ratio.domain=1 --set data.ratio.open={share:.2g}", text)


def _proposal(kind: Literal["dial", "checkpoint", "replay"], change: str, text: Text) -> Proposal:
    return Proposal(kind, change, text.en, text.zh)


def _read(path: Path) -> Mapping[str, Any] | None:
    """The object in a JSON file, or None where there is none that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
