"""`make bench`: ours and the peer's on the same work in one run, as a ratio.

Peers live in an environment of their own, `.bench/venv`, made on the first call. Absolute times on a shared machine mean little;
ratios of two sides measured one after the other mean more. Writes docs/benchmarks.md and benchmarks.json.
"""

import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
VENV = ROOT / ".bench" / "venv"
LLAMA_FACTORY = ROOT / ".bench" / "llamafactory"
PEERS = ("torch==2.13.0", "rouge-score==0.1.2", "trl==1.16.0", "peft>=0.18", "datatrove[io,processing]==0.10.1")
LLAMA_FACTORY_PACKAGES = ("torch==2.13.0", "llamafactory==0.9.5", "bitsandbytes>=0.49")
"""In an environment of its own: it wants an older transformers."""


_NOVELTY_ROWS = (10_000, 30_000, 100_000, 300_000, 1_000_000)
_STAGE_ROWS = (1_000_000, 5_000_000)
_TEMPLATE_ROWS = 1_000_000


class Row(NamedTuple):
    """One benchmark: what was measured, and, where there is a peer, its figure and ours ÷ peer's (above 1: ours is faster)."""

    name: str
    ours: float
    peer: float | None
    ratio: float | None
    unit: str
    note: str


def novelty() -> list[Row]:
    """Pairs of instructions compared per second, with the same rows kept, and how time grows with the rows."""
    with tempfile.TemporaryDirectory() as folder:
        few, many = Path(folder) / "few.json", Path(folder) / "many.json"
        _run(sys.executable, "bench/novelty.py", "write", str(few), "52000")
        ours = _run(sys.executable, "bench/novelty.py", "ours", str(few))
        peer = _run(VENV / "bin" / "python", "bench/novelty.py", "peer", str(few))
        assert ours["kept_hash"] == peer["kept_hash"], "the two sides keep different rows"
        _run(sys.executable, "bench/novelty.py", "write", str(many), str(max(_NOVELTY_ROWS)))
        runs = [_run(sys.executable, "bench/novelty.py", "scale", str(many), str(rows)) for rows in _NOVELTY_ROWS]
    note = (
        f"{ours['rows']:,} synthetic instructions (peer: the first {peer['rows']:,}), same rows kept of these, one process each; "
        "a pair is a row with one kept before it, compared or passed over"
    )
    largest = runs[-1]
    exponent = statistics.linear_regression(*([math.log(run[key]) for run in runs] for key in ("rows", "seconds"))).slope
    seconds = ", ".join(f"{run['rows']:,} rows {run['seconds']:.1f} s" for run in runs)
    growth = f"exact; {seconds}: time grows as rows to the power of {exponent:.2f}; at most {largest['peak_bytes'] / 2**30:.1f} GiB"
    return [
        _row("ROUGE-L novelty against rouge_score", ours, peer, "pairs_per_second", "pairs/s", note),
        Row(f"ROUGE-L novelty of {largest['rows']:,} rows", round(largest["seconds"], 1), None, None, "seconds", growth),
    ]


def cleaning() -> Row:
    """Rows per second from JSON Lines to kept rows on disk, through the same rules."""
    with tempfile.TemporaryDirectory() as folder:
        _run(sys.executable, "bench/cleaning.py", "write", folder)
        ours = _run(sys.executable, "bench/cleaning.py", "ours", folder)
        peer = _run(VENV / "bin" / "python", "bench/cleaning.py", "peer", folder)
        both = _run(sys.executable, "bench/cleaning.py", "agreement", folder)
    assert ours["unique_hash"] == peer["unique_hash"], "the two sides keep different rows before near duplicates"
    note = (
        f"{ours['rows']:,} synthetic conversations, two processes each: length, blacklist and exact duplicates (same "
        f"{ours['unique']:,} rows kept), then MinHash of five-word runs (ours keeps {ours['kept']:,}, the peer {peer['kept']:,}; "
        f"of {both['families']:,} rows with near repeats, both keep equally many of {both['agreement']:.1%}, and as many as the "
        f"true similarity leaves ours of {both['ours']:.1%}, the peer of {both['peer']:.1%}); the peer splits at spaces instead of "
        "with spaCy and writes no dropped rows"
    )
    return _row("Cleaning against datatrove", ours, peer, "rows_per_second", "rows/s", note)


def training() -> list[Row]:
    """Trained (not padding) tokens per second of LoRA (rank 8 on all linear layers), full fine-tuning and QLoRA."""
    return [row for method in ("lora", "full", "qlora") for row in _training(method)]


def _training(method: str) -> list[Row]:
    ours = _run(sys.executable, "bench/training.py", "ours", method)
    rows = []
    for name, side, python in (("TRL's SFTTrainer", "trl", VENV), ("LLaMA-Factory", "llamafactory", LLAMA_FACTORY)):
        if (side, method) == ("trl", "qlora"):
            continue  # on a CPU it does not load a base in 4 bits by itself
        peer = _run(python / "bin" / "python", "bench/training.py", side, method, ours["model"], ours["rows_file"])
        losses = f"{ours['loss']:.3f} and {peer['loss']:.3f}"
        note = (
            f"SmolLM2-135M, bf16, {ours['rows']} bundled rows cut at 512 tokens, one epoch, the peer's batch of 4 and defaults; "
            f"our steps are cut by tokens, the peer's by rows, so the losses of the last quarter ({losses}) are not those of "
            f"equal steps; our peak was {ours['peak_bytes'] / 2**30:.1f} GiB"
        )
        rows.append(_row(f"Training, {method}, against {name}", ours, peer, "tokens_per_second", "tokens/s", note))
    return rows


def data_stages() -> list[Row]:
    """Seconds and peak memory of collect, clean and mix on one and on five million rows."""
    rows = []
    for count in _STAGE_ROWS:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "rows.jsonl"
            written = _run(sys.executable, "bench/scale.py", "write", str(file), str(count))
            ours = _run(sys.executable, "bench/scale.py", "run", str(file))
            near = _run(sys.executable, "bench/scale.py", "near", str(file)) if count == min(_STAGE_ROWS) else None
        name = f"collect + clean + mix of {count:,} rows"
        note = (
            f"alpaca JSON Lines of {written['bytes'] / 1e6:,.0f} MB, every rule but novelty and near duplicates; collect "
            f"{ours['collect']:.0f} s, clean {ours['clean']:.0f} s, mix {ours['mix']:.0f} s"
        )
        rows.append(Row(name, round(ours["all"], 1), None, None, "seconds", note))
        memory = "proportional set size of all processes together, sampled"
        rows.append(Row(f"{name}: peak memory", round(ours["peak_bytes"] / 2**20), None, None, "MiB", memory))
        if near:
            note = f"the stage clean with this rule alone, at 0.8; at most {near['peak_bytes'] / 2**20:,.0f} MiB"
            rows.append(Row(f"MinHash near duplicates of {count:,} rows", round(near["seconds"], 1), None, None, "seconds", note))
    return rows


def teacher() -> list[Row]:
    """Requests per second and processor time of the teacher's client, and the time of a run that finds everything in the cache."""
    ours, peer, cached = (_run(sys.executable, "-m", "bench.teacher", side) for side in ("ours", "peer", "cached"))
    name = "Teacher's client against AsyncOpenAI behind a semaphore"
    note = (
        f"{ours['requests']:,} requests, 64 in flight, answered by a server on this machine after 200 ms: of the 320/s that there "
        f"can be, ours makes {ours['share_of_ideal']:.1%}, the peer {peer['share_of_ideal']:.1%}; ours has each answer on disk "
        "before it is returned"
    )
    processor = "processor time of the client's process for a request, of the same runs"
    one, other = (round(side["cpu_microseconds"]) for side in (ours, peer))
    return [
        _row(name, ours, peer, "per_second", "requests/s", note),
        Row(f"{name}: processor time", one, other, round(other / one, 2), "µs", processor),
        Row(
            f"{cached['requests']:,} cached requests",
            round(cached["seconds"], 1),
            None,
            None,
            "seconds",
            "asked with a cache opened anew",
        ),
    ]


def templates() -> list[Row]:
    """Conversations to ids and labels per second, against a bare encoding of the same texts."""
    run = _run(sys.executable, "bench/templates.py", str(_TEMPLATE_ROWS))
    note = (
        f"{run['rows']:,} conversations of a question and an answer, {run['tokens'] / run['rows']:.0f} tokens each, SmolLM2's "
        f"tokenizer on all cores; the bare side encodes texts that are rendered already and gives no labels; same ids; memory grew "
        f"by {run['growth_bytes'] / 2**20:,.0f} MiB after the first 20,000 rows, {run['peak_bytes'] / 2**20:,.0f} MiB at most"
    )
    sides = {"a family": "family_per_second", "`template: auto`": "auto_per_second"}
    return [
        Row(
            f"Rows to ids and labels, {side}, against bare tokenizers",
            round(run[key]),
            round(run["bare_per_second"]),
            round(run[key] / run["bare_per_second"], 2),
            "rows/s",
            note,
        )
        for side, key in sides.items()
    ]


BENCHMARKS: Mapping[str, Callable[[], Row | list[Row]]] = {
    "novelty": novelty,
    "cleaning": cleaning,
    "data_stages": data_stages,
    "teacher": teacher,
    "templates": templates,
    "training": training,
}


def main() -> None:
    """Run every benchmark and write both files; with names as arguments run these alone and keep the other rows."""
    _ensure_peers()
    figures = ROOT / "benchmarks.json"
    new = {row.name: row for name in sys.argv[1:] or BENCHMARKS for row in _listed(BENCHMARKS[name]())}
    old = [Row(**row) for row in json.loads(figures.read_text(encoding="utf-8"))] if sys.argv[1:] else []
    rows = list(({row.name: row for row in old} | new).values())
    facts = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {date.today().isoformat()}"
    lines = [
        "# Benchmarks",
        f"Written by `make bench` ({facts}). Ours and the peer's ran one after the other on the same machine; "
        "it is shared, so quote the ratio.",
        "\n".join(
            [
                "| benchmark | ours | peer | ours ÷ peer | unit | what ran |",
                "|---|---|---|---|---|---|",
                *(
                    f"| {r.name} | {r.ours:,.0f} | {_figure(r.peer, 0)} | {_figure(r.ratio, 2)} | {r.unit} | {r.note} |"
                    for r in rows
                ),
            ]
        ),
    ]
    lines.append(
        "Commands: `make bench` runs all and writes this page; `python -m bench NAME…` runs some of "
        f"{', '.join(f'`{name}`' for name in BENCHMARKS)} and keeps the other rows. What each side does stands in "
        "`bench/novelty.py`, `cleaning.py`, `scale.py`, `teacher.py`, `templates.py` and `training.py`, which can be called "
        "alone, for example `python bench/scale.py write rows.jsonl 1000000; python bench/scale.py run rows.jsonl`."
    )
    page = "\n\n".join(lines) + "\n"
    figures.write_text(json.dumps([row._asdict() for row in rows], indent=2) + "\n", encoding="utf-8")
    (ROOT / "docs" / "benchmarks.md").write_text(page, encoding="utf-8")
    sys.stdout.write(page)


def _listed(rows: Row | list[Row]) -> list[Row]:
    return rows if isinstance(rows, list) else [rows]


def _figure(value: float | None, decimals: int) -> str:
    return "–" if value is None else f"{value:,.{decimals}f}"


def _row(name: str, ours: dict[str, Any], peer: dict[str, Any], key: str, unit: str, note: str) -> Row:
    return Row(name, round(ours[key], 1), round(peer[key], 1), round(ours[key] / peer[key], 2), unit, note)


def _run(python: Path | str, *arguments: str) -> dict[str, Any]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run([str(python), *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def _ensure_peers() -> None:
    for place, packages in ((VENV, PEERS), (LLAMA_FACTORY, LLAMA_FACTORY_PACKAGES)):
        marker = place / ".made"
        if marker.exists() and marker.read_text() == " ".join(packages):
            continue
        venv.create(place, with_pip=True, clear=True)
        for package in packages:
            subprocess.run(
                [place / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", package], check=True
            )
        marker.write_text(" ".join(packages))


if __name__ == "__main__":
    main()
