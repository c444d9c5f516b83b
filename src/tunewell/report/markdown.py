"""The report in Markdown: the same facts, short."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import tunewell
from tunewell.report import content, data_tables, generated, judges
from tunewell.report.data_tables import Passage
from tunewell.report.facts import Facts
from tunewell.report.funnel import Step, funnel_steps
from tunewell.report.generated import TaskRow
from tunewell.report.words import Words, number, p_value, places, share, size

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
        _bullets(f"{plain(fact.value)} `{fact.label}`" for fact in content.proposals(facts, words)),
        *_power(facts, words),
        *(_judges(facts, words) if facts.judge else []),
        f"## {words('metrics')}",
        _metrics(facts, words),
        f"## {words('training')}",
        _bullets(f"{fact.label}: {plain(fact.value)}" for fact in content.training_facts(facts, words)),
        f"## {words('data')}",
        _table([words("step_label"), words("rows")], map(_step, funnel_steps(facts, words))),
        _by_source(facts, words),
        data_tables.masked_text(facts, words),
        _mixture(facts, words),
        " ".join(data_tables.mixture_notes(facts, words)),
        *(_generated(facts, words) if generated.tasks(facts) else []),
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
    head = [words("claim"), "n", *compared, words("margin"), "p", words("p_holm"), words("verdict")]
    return _table(head, (_claim(claim, words) for claim in facts.gate["claims"]))


def _interval(facts: Facts, words: Words) -> str:
    return words("interval", confidence=content.confidence_text(facts))


def _claim(claim: Mapping[str, Any], words: Words) -> list[str]:
    verdict = words("verdict_" + claim["verdict"])
    if claim.get("needed"):
        verdict += f" ({words('needed', n=number(claim['needed'], 0))})"
    margin = plain(words.of(claim, "margin_text") or "–")
    return [
        plain(words.of(claim, "title")),
        number(claim["n"], 0),
        *_compared(claim),
        margin,
        p_value(claim["p"]),
        p_value(claim["p_holm"]),
        verdict,
    ]


def _compared(row: Mapping[str, Any]) -> list[str]:
    digits = places(row)
    low, high = (number(row[end], digits, signed=True) for end in ("low", "high"))
    interval = "–" if row["low"] is None else f"{low} … {high}"
    models = [number(row[model], digits) for model in ("base", "tuned")]
    return [*models, number(row["difference"], digits, signed=True), interval]


def _power(facts: Facts, words: Words) -> list[str]:
    rows = []
    for row in content.power(facts):
        claim, digits = row.claim, places(row.claim)
        enough = "–" if row.is_enough is None else words("said_yes" if row.is_enough else "said_no")
        sizes = [number(claim[key], digits) for key in ("detectable", "margin")]
        items = number(row.items, 0)
        rows.append([plain(words.of(claim, "title")), number(claim["n"], 0), *sizes, enough, items])
    head = [words("claim"), "n", words("power_smallest"), words("margin"), words("power_enough"), words("power_items")]
    return [f"### {words('power')}", words("power_lead"), _table(head, rows)] if rows else []


def _judges(facts: Facts, words: Words) -> list[str]:
    def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
        return _table([*map(plain, head)], ([*map(plain, row)] for row in rows))

    between = judges.agreement(facts, words)
    head = [words("judge"), words("judge_scores"), words("judge_preferences")]
    return [
        f"## {words('judge')}",
        table(["", *judges.names(facts)], judges.health(facts, words)),
        table(head, between) if between else "",
        plain(judges.preference(facts, words)),
        _bullets(map(plain, judges.warnings(facts, words))),
    ]


def _metrics(facts: Facts, words: Words) -> str:
    metrics = facts.gate["metrics"]
    if not metrics:
        return words("metrics_none")
    rows = []
    for group in content.metric_groups(metrics):
        questions = words.label("slice", group.slice)
        if group.language:
            questions += f", {words.label('language', group.language)}"
        rows += [
            [
                questions,
                words.label("metric", row["name"]) + (" ⚠" if row.get("note") else ""),
                number(row["n"], 0),
                *_compared(row),
            ]
            for row in group.metrics
        ]
    head = [words("slice"), words("metric"), "n", words("base"), words("tuned"), words("difference"), _interval(facts, words)]
    signatures = _bullets(
        f"{definition.name}: `{signature}`"
        for definition in content.metric_definitions(metrics, words)
        for signature in definition.signatures
    )
    few = f"⚠ {words('few')}" if any(row.get("note") for row in metrics) else ""
    return "\n\n".join(part for part in (_table(head, rows), few, signatures) if part)


def _step(step: Step) -> list[str]:
    return [plain(step.label), f"{_SIGNS[step.kind]}{number(step.rows, 0)}"]


def _by_source(facts: Facts, words: Words) -> str:
    table = data_tables.funnel_table(facts, words)
    if not table.passages:
        return ""
    rules = [words.label("reason", rule) for rule in table.rules]
    used = [words("in_mixture")] if table.total.used is not None else []
    head = [words("source"), words("pool"), words("rows"), words("step_kept"), *used, *rules]
    passages = [*table.passages, *([table.others] if table.others else []), table.total]
    return _table(head, map(_passage, passages))


def _passage(passage: Passage) -> list[str]:
    counts = [passage.rows, passage.kept, *([] if passage.used is None else [passage.used]), *passage.dropped]
    return [plain(passage.name), passage.pool, *(number(count, 0) for count in counts)]


def _mixture(facts: Facts, words: Words) -> str:
    head = ["pool", "asked", "reached", *data_tables.POOL_COUNTS, "tokens"]
    rows = [
        [
            words.label("pool", row.pool),
            *map(share, row.shares),
            *(number(count, 0) for count in row.counts),
            f"{'≈ ' if row.estimated else ''}{number(row.tokens, 0)}",
        ]
        for row in data_tables.pool_rows(facts)
    ]
    return _table([words(key) for key in head], rows)


def _generated(facts: Facts, words: Words) -> list[str]:
    counts = [words("step_kept" if key == "kept" else key) for key in generated.COUNTS]
    rows = [*generated.task_rows(facts, words), generated.total_row(facts, words)]
    losses = [
        [loss.task, loss.outcome or words("rejected"), plain(loss.reason), number(loss.times, 0), share(loss.share)]
        for loss in (*generated.rejected(facts, words), *generated.failures(facts, words))
    ]
    head = [words(key) for key in ("task", "outcome", "reason", "counts", "generated_share")]
    return [
        f"## {words('generated')}",
        plain(" ".join(generated.notes(facts, words))),
        _table([words("task"), *counts, words("kept_share"), words("money")], map(_task, rows)),
        _table(head, losses) if losses else "",
    ]


def _task(row: TaskRow) -> list[str]:
    counts = [number(getattr(row, key), 0) for key in generated.COUNTS]
    return [row.name, *counts, share(row.kept_share), plain(row.cost)]


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
