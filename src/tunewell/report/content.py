"""What the page and its Markdown twin both say: key facts, limits, probes, cost. Pure functions of the facts."""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from tunewell.report.facts import STAGES, Facts
from tunewell.report.words import Words, number, share, size
from tunewell.store import Manifest

PROBES = ("brittleness", "constraints", "leakage", "gap")
_ALWAYS_TOLD = ("domain_gain", "retention")


class Fact(NamedTuple):
    """A name and a value, both ready to read."""

    label: str
    value: str


class Power(NamedTuple):
    """A claim, whether a loss as large as its margin would be seen, and about how many items it takes to see that.

    Both are None where there is no margin to measure against.
    """

    claim: Mapping[str, Any]
    is_enough: bool | None
    items: int | None


class MetricGroup(NamedTuple):
    """The metrics of one slice in one language; the language is empty where the run has one only."""

    slice: str
    language: str
    metrics: tuple[Mapping[str, Any], ...]


class Definition(NamedTuple):
    """What a metric is, and the signatures under which it was computed."""

    name: str
    definition: str
    better: str
    signatures: tuple[str, ...]


def confidence_text(facts: Facts) -> str:
    """The level of the intervals, such as `95 %`."""
    return f"{100 * facts.gate['confidence']:g} %"


def headline(facts: Facts, words: Words) -> str:
    """The verdict in one sentence: how many claims hold, and the names of those that decided it."""
    claims, verdict = facts.gate["claims"], facts.gate["verdict"]
    if not claims:
        return words.of(facts.gate, "reason")
    names = [words.of(claim, "title") for claim in claims if claim["verdict"] == verdict]
    return words(f"headline_{verdict}", n=len(claims), some=len(names), names=words("and").join(names))


def findings(facts: Facts) -> list[Mapping[str, Any]]:
    """The claims to put into words at the top: the domain gain, retention, and every one that did not pass."""
    return [claim for claim in facts.gate["claims"] if claim["name"] in _ALWAYS_TOLD or claim["verdict"] != "pass"]


def key_facts(facts: Facts, words: Words) -> list[Fact]:
    """The line under the verdict: model, method, rows, test items, time."""
    asked = {(result.probe, result.variant, result.item) for result in facts.results}
    probes = len({result.probe for result in facts.results})
    return [
        Fact(words("fact_model"), str(facts.run["model"])),
        Fact(words("fact_method"), _method(facts, words)),
        Fact(words("fact_rows"), number(facts.mixture["train_rows"], 0)),
        Fact(words("fact_items"), words("items_by_probe", n=number(len(asked), 0), probes=probes)),
        Fact(words("fact_time"), words.duration(total_seconds(facts))),
    ]


def _method(facts: Facts, words: Words) -> str:
    method, rank = str(facts.training["method"]), facts.training.get("rank")
    name = {"lora": "LoRA", "qlora": "QLoRA"}.get(method, method)
    return words("method_rank", method=name, rank=rank) if rank else name


def training_facts(facts: Facts, words: Words) -> list[Fact]:
    """The figures of the training run."""
    training = facts.training
    part, whole = training["trainable_parameters"], training["parameters"]
    parameters = words("of_all", part=number(part, 0), all=number(whole, 0), share=share(part / whole if whole else 0))
    tokens = words("supervised_tokens", all=number(training["trained_tokens"], 0), part=number(training["supervised_tokens"], 0))
    return [
        Fact(words("trained_parameters"), parameters),
        Fact(words("trained_tokens"), tokens),
        Fact(
            words("steps_epochs"), words("steps_and_epochs", steps=number(training["steps"], 0), epochs=f"{training['epochs']:g}")
        ),
        Fact(words("final_loss"), number(training["loss"])),
        Fact(words("speed"), words("tokens_per_second", n=number(training["tokens_per_second"], 0))),
        Fact(words("precision"), str(training["dtype"])),
        Fact(words("prompt_format"), training["template"]),
        Fact(words("rows_short"), words("rows_short_counts", shortened=training["shortened"], left_out=training["left_out"])),
        Fact(words("peak_memory"), size(training["peak_rss_bytes"])),
    ]


def finished_stages(facts: Facts) -> list[Manifest]:
    """The manifests of the finished stages, in the order of the run."""
    return [facts.manifests[stage] for stage in STAGES if stage in facts.manifests]


def total_seconds(facts: Facts) -> float:
    """Seconds of all stages together."""
    return sum(manifest.seconds for manifest in facts.manifests.values())


def advice(facts: Facts, words: Words) -> list[Fact]:
    """What the gate advises, for each claim that did not pass and comes with advice."""
    told = [claim for claim in facts.gate["claims"] if claim["verdict"] != "pass" and words.of(claim, "advice")]
    return [Fact(words.of(claim, "title"), words.of(claim, "advice")) for claim in told]


def proposals(facts: Facts, words: Words) -> list[Fact]:
    """What the gate proposes from measured numbers: the command or settings, and what speaks for them."""
    return [Fact(proposal["change"], words.of(proposal, "text")) for proposal in facts.gate.get("proposals", ())]


def power(facts: Facts) -> list[Power]:
    """What the items of each claim can show. A claim whose spread is unknown is left out."""
    return [_power(claim) for claim in facts.gate["claims"] if claim["detectable"] is not None]


def _power(claim: Mapping[str, Any]) -> Power:
    detectable, margin = claim["detectable"], claim["margin"]
    if not margin:
        return Power(claim, None, None)
    return Power(claim, detectable <= margin, math.ceil(claim["n"] * (detectable / margin) ** 2))


def metric_groups(metrics: Sequence[Mapping[str, Any]]) -> list[MetricGroup]:
    """The metrics by slice and language, in the order in which they stand."""

    def group_of(metric: Mapping[str, Any]) -> tuple[str, str]:
        return str(metric["slice"]), str(metric.get("language", ""))

    languages = {language for _, language in map(group_of, metrics)}
    return [
        MetricGroup(slice_, language if len(languages) > 1 else "", tuple(group))
        for (slice_, language), group in groupby(metrics, group_of)
    ]


def metric_definitions(metrics: Sequence[Mapping[str, Any]], words: Words) -> list[Definition]:
    """Each metric once, with every signature that occurs."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for metric in metrics:
        by_name.setdefault(metric["name"], []).append(metric)
    return [
        Definition(
            words.label("metric", name),
            words.table.get(f"definition_{name}", str(group[0]["definition"])),
            words(group[0]["better"]),
            tuple(dict.fromkeys(str(metric["signature"]) for metric in group if metric.get("signature"))),
        )
        for name, group in by_name.items()
    ]


def seed_of(facts: Facts) -> int:
    """The seed of the run."""
    manifest = facts.manifests.get("train")
    return manifest.seed if manifest else int(facts.mixture["seed"])


def versions(facts: Facts) -> dict[str, str]:
    """The version of each package that any stage recorded."""
    merged: dict[str, str] = {}
    for manifest in finished_stages(facts):
        merged.update(manifest.versions)
    return dict(sorted(merged.items()))


def limits(facts: Facts, words: Words) -> list[str]:
    """What the report does not show, with the numbers that make it so."""
    sizes = [claim["n"] for claim in facts.gate["claims"]] or [0]
    answers = [result for result in facts.results if result.probe == "domain" and result.model == "tuned"]
    cut = sum(result.measures.get("cut", 0) == 1 for result in answers)
    retention = len({(result.variant, result.item) for result in facts.results if result.probe == "retention"})
    return [
        words("limit_size", n=min(sizes), most=max(sizes)),
        words("limit_metrics"),
        words("limit_seed", seed=seed_of(facts)),
        words("limit_model", model=facts.run["model"]),
        *([words("limit_retention", n=retention)] if retention else []),
        *([words("limit_cut", n=cut, all=len(answers))] if cut else []),
        *([words("limit_left_out", n=facts.training["left_out"])] if facts.training["left_out"] else []),
    ]
