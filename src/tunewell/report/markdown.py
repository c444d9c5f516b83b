"""The report in Markdown: the same facts, short."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import tunewell
from tunewell.report import content
from tunewell.report.facts import Facts
from tunewell.report.funnel import Step, funnel_steps
from tunewell.report.words import Words, number, places, share, size

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")
_SIGNS = {"stage": "", "dropped": "−", "added": "+"}


def render_markdown(facts: Facts, words: Words, *, title: str) -> str:
    """The whole report as one Markdown text."""
    gate, mark = facts.gate, words("verdict_" + facts.gate["verdict"])
    parts = [
        f"# {plain(title)}",
        f"**{mark}** · {plain(words.of(gate, 'reason'))}",
        _bullets(f"{fact.label}: {plain(fact.value)}" for fact in content.key_facts(facts, words)),
        f"## {words('claims')}",
        _claims(facts, words),
        _bullets(f"{plain(fact.label)}: {plain(fact.value)}" for fact in content.advice(facts, words)),
        f"## {words('metrics')}",
        _metrics(facts, words),
        f"## {words('training')}",
        _bullets(f"{fact.label}: {plain(fact.value)}" for fact in content.training_facts(facts, words)),
        f"## {words('data')}",
        _table([words("step_label"), words("rows")], map(_step, funnel_steps(facts, words))),
        _mixture(facts.mixture["pools"], words),
        f"## {words('cost')}",
        _cost(facts, words),
        f"## {words('reproduce')}",
        _fenced(str(facts.run["command"])),
        _bullets([f"{words('seed')}: {content.seed_of(facts)}", *_versions(facts)]),
        f"## {words('limits')}",
        _bullets(map(plain, content.limits(facts, words))),
        words("made_with", version=tunewell.__version__),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def plain(text: str) -> str:
    r"""Text in which Markdown finds nothing to interpret.

    >>> plain("a|b <script>")
    'a\\|b \\<script\\>'
    """
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _claims(facts: Facts, words: Words) -> str:
    compared = [words("base"), words("tuned"), words("difference"), _interval(facts, words)]
    head = [words("claim"), "n", *compared, words("margin"), words("verdict")]
    return _table(head, (_claim(claim, words) for claim in facts.gate["claims"]))


def _interval(facts: Facts, words: Words) -> str:
    return words("interval", confidence=content.confidence_text(facts))


def _claim(claim: Mapping[str, Any], words: Words) -> list[str]:
    verdict = words("verdict_" + claim["verdict"])
    if claim.get("needed"):
        verdict += f" ({words('needed', n=number(claim['needed'], 0))})"
    margin = plain(words.of(claim, "margin_text") or "–")
    return [plain(words.of(claim, "title")), number(claim["n"], 0), *_compared(claim), margin, verdict]


def _compared(row: Mapping[str, Any]) -> list[str]:
    digits = places(row)
    low, high = (number(row[end], digits, signed=True) for end in ("low", "high"))
    interval = "–" if row["low"] is None else f"{low} … {high}"
    models = [number(row[model], digits) for model in ("base", "tuned")]
    return [*models, number(row["difference"], digits, signed=True), interval]


def _metrics(facts: Facts, words: Words) -> str:
    metrics = facts.gate["metrics"]
    if not metrics:
        return words("metrics_none")
    rows = []
    for group in content.metric_groups(metrics):
        questions = words.label("slice", group.slice)
        if group.language:
            questions += f", {words.label('language', group.language)}"
        rows += [[questions, words.label("metric", row["name"]), number(row["n"], 0), *_compared(row)] for row in group.metrics]
    head = [words("slice"), words("metric"), "n", words("base"), words("tuned"), words("difference"), _interval(facts, words)]
    signatures = _bullets(
        f"{definition.name}: `{signature}`"
        for definition in content.metric_definitions(metrics, words)
        for signature in definition.signatures
    )
    return f"{_table(head, rows)}\n\n{signatures}"


def _step(step: Step) -> list[str]:
    return [plain(step.label), f"{_SIGNS[step.kind]}{number(step.rows, 0)}"]


def _mixture(pools: Sequence[Mapping[str, Any]], words: Words) -> str:
    head = [words("pool"), words("asked"), words("reached"), words("rows"), words("repeats")]
    return _table(
        head,
        (
            [
                words.label("pool", pool["pool"]),
                share(pool["asked_share"]),
                share(pool["reached_share"]),
                number(pool["rows"], 0),
                number(pool["repeats"], 0),
            ]
            for pool in pools
        ),
    )


def _cost(facts: Facts, words: Words) -> str:
    head = [words("stage"), words("time"), words("peak_memory")]
    rows = [
        [words.label("stage", manifest.stage), words.duration(manifest.seconds), size(manifest.peak_rss_bytes)]
        for manifest in content.finished_stages(facts)
    ]
    return _table(head, [*rows, [words("total"), words.duration(content.total_seconds(facts)), ""]])


def _versions(facts: Facts) -> list[str]:
    return [f"{plain(name)} {plain(version)}" for name, version in content.versions(facts).items()]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _fenced(text: str) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"
