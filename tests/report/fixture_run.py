"""A believable run folder, the same on every call, with hostile and Chinese texts among its rows."""

import json
import math
import random
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rapidfuzz.distance import Indel

from tunewell import gate
from tunewell.recipe import Recipe
from tunewell.records import (
    DROPPED_SCHEMA,
    RESULT_SCHEMA,
    Dropped,
    Example,
    Message,
    Origin,
    Result,
    dropped_to_row,
    result_to_row,
)
from tunewell.stats import Estimate, mean
from tunewell.store import Manifest, write_json, write_rows
from tunewell.text import tokens

ATTACK = '<script>document.title="hacked"</script>'
CLOSING_ATTACK = "</script><img src=x onerror=alert(1)> --> ]]> {{ 7 * 7 }}"
CONFIDENCE = 0.95
SHELLS = ("plain", "polite", "support_agent", "json_like", "formal_letter", "chatter")
CONSTRAINTS = ("1_constraint", "2_constraints", "3_constraints")
SEED = 17

Model = Literal["base", "tuned"]

_QA = (
    ("When do I get the money from yesterday's sales?", "Sales are paid out on the next working day, before noon."),
    (
        "My terminal says error 42, what now?",
        "Error 42 means that the terminal lost its network. Restart it and join your Wi-Fi again.",
    ),
    (
        "How do I refund half of a payment?",
        "Open the payment, choose Refund, and type the amount. A partial refund takes up to five days.",
    ),
    ("What does a card payment cost me?", "A card payment costs 1.4 % of the amount and no fixed fee."),
    ("Can a colleague see the payouts?", "Give your colleague the role Bookkeeper: it reads payouts and changes nothing."),
    (
        "Someone disputes a payment. What do I do?",
        "You have seven days to send evidence. Add the receipt and the delivery note to the case.",
    ),
    ("提现多久到账？", "提现在下一个工作日中午前到账。"),
    ("怎么给客户退一半的钱？", "打开这笔付款，选择退款，输入金额即可，部分退款最多五天到账。"),
)
_RAMBLE = "I am a language model and can help you with many things. Please contact the support team of your provider for more."
_GENERAL = (
    "What is the capital of Portugal?",
    "Name three primary colours.",
    "写一句描写大海的话。",
    "Why do leaves turn red in autumn?",
)
_NEAR_MISS = ("How do I refund a train ticket?", "Where can I charge my phone?", "What is a terminal illness?", "火车票怎么退？")
_ABILITIES = ("arithmetic", "knowledge", "reading", "reasoning", "refusal")


def build_run(folder: Path, *, without: Collection[str] = ()) -> dict[str, Path]:
    """Write a run and return the inputs of the report; probes named in `without` were turned off in it.

    The claims are the gate's own, so that the report is tested on what it will really be given.
    """
    names = ("collect", "generate", "clean", "mix", "train", "evaluate", "gate")
    inputs = {
        "run": folder,
        "dial": folder / "dial" / "dial.json",
        **{name: folder / f"{number}-{name}" for number, name in enumerate(names, start=1)},
    }
    results = [result for result in _results() if result.probe not in without]
    _write_run(folder)
    _write_data(inputs)
    _write_generated(inputs["generate"])
    _write_training(inputs["train"])
    write_rows(inputs["evaluate"] / "results", RESULT_SCHEMA, map(result_to_row, results))
    write_json(inputs["evaluate"] / "metrics.json", _metrics(results))
    gate.run(Recipe().part("gate"), inputs, inputs["gate"])
    _write_manifests(inputs)
    return inputs


def _write_run(folder: Path) -> None:
    recipe = "model: smollm2-135m\ndata:\n  domain: [support]\n  open: [general]\n  ratio: {open: 1, domain: 3}\n"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text(f"{recipe}seed: {SEED}\n# {CLOSING_ATTACK}\n", encoding="utf-8")
    run = {
        "recipe": "support.yaml",
        "command": "tunewell run support.yaml --set train.rank=16",
        "tunewell": "0.1.0",
        "model": "smollm2-135m",
        "started": "2026-03-02T09:14:05Z",
    }
    write_json(folder / "run.json", run)


def _write_data(inputs: Mapping[str, Path]) -> None:
    funnel = {
        "rows_in": 452,
        "kept": 388,
        "rules": [
            {"rule": "empty", "dropped": 0},
            {"rule": "blacklist", "dropped": 9},
            {"rule": "control_tokens", "dropped": 1},
            {"rule": "contamination", "dropped": 12},
            {"rule": "duplicate", "dropped": 20},
            {"rule": "contradiction", "dropped": 4},
            {"rule": "novelty", "dropped": 18},
        ],
        "sources": [
            _source(
                "/data/support/qa.jsonl", "domain", 252, blacklist=2, control_tokens=1, contamination=12, duplicate=9, novelty=18
            ),
            _source(f"/data/general/{ATTACK}.json", "open", 112, blacklist=7, duplicate=11, contradiction=4),
            _source("replay", "open", 40),
            _source("doc2qa", "domain", 40),
            _source("paraphrase", "domain", 8),
        ],
        "masked": {"bank_card": 1, "email": 0, "phone": 14},
    }
    mixture = {
        "by": "rows",
        "pools": [
            _pool("domain", 0.75, 240 / 320, 258, 238, repeats=2, held_out=20, tokens=21_600, tokens_counted=100),
            _pool("open", 0.25, 80 / 320, 130, 80, capped_out=6, tokens=9_120, tokens_counted=80),
        ],
        "sources": [
            {"source": f"/data/general/{ATTACK}.json", "available": 90, "capped_out": 6, "used": 56},
            {"source": "/data/support/qa.jsonl", "available": 210, "capped_out": 0, "used": 190},
            {"source": "doc2qa", "available": 40, "capped_out": 0, "used": 40},
            {"source": "paraphrase", "available": 8, "capped_out": 0, "used": 8},
            {"source": "replay", "available": 40, "capped_out": 0, "used": 24},
        ],
        "turns": [
            {"pool": "domain", "turns": "single", "asked_share": None, "reached_share": 221 / 240, "rows": 221},
            {"pool": "domain", "turns": "multi", "asked_share": None, "reached_share": 19 / 240, "rows": 19},
            {"pool": "open", "turns": "single", "asked_share": None, "rows": 80},
            {"pool": "open", "turns": "multi", "asked_share": None, "rows": 0},
        ],
        "train_rows": 320,
        "test_rows": {"seen": 60, "paraphrase": 60, "unseen": 60},
        "test_left_out": 3,
        "held_out_families": 20,
        "seed": SEED,
    }
    write_json(inputs["clean"] / "funnel.json", funnel)
    write_json(inputs["mix"] / "mixture.json", mixture)
    write_rows(inputs["collect"] / "dropped", DROPPED_SCHEMA, [dropped_to_row(_dropped("", "", "bad_json", "not JSON: line 41"))])
    rows = [
        _dropped(ATTACK, "It runs nothing.", "control_tokens", "holds <|im_end|>"),
        _dropped("提现多久到账？", "两天。", "contradiction", "also answered: 提现在下一个工作日到账。"),
        _dropped("Draw me a chart of my sales", "I cannot draw.", "blacklist", "draw, chart"),
        _dropped("Draw me a logo", "I cannot draw.", "blacklist", "draw"),
        _dropped("When will I get money from the sales of yesterday?", "Next day.", "novelty", "0.83 with support/qa.jsonl:7"),
    ]
    write_rows(inputs["clean"] / "dropped", DROPPED_SCHEMA, map(dropped_to_row, rows))


def _write_generated(folder: Path) -> None:
    tasks = [
        {
            "task": "doc2qa",
            "asked": 40,
            "made": 55,
            "kept": 40,
            "rejected": {"known_without_document": 4, "quote_not_found": 9, "surplus": 2},
            "failed": {"cut": 3},
            "skipped": {"no_questions": 5},
            "languages": {"en": 30, "zh": 10},
            "requests": 320,
            "cached": 20,
            "prompt_tokens": 210_000,
            "completion_tokens": 30_500,
            "cost": 0.1234,
        },
        {
            "task": "paraphrase",
            "asked": 20,
            "made": 14,
            "kept": 8,
            "rejected": {"meaning_changed": 5, "too_alike": 1},
            "failed": {"budget": 6},
            "skipped": {},
            "languages": {"en": 8},
            "requests": 1_300,
            "cached": 0,
            "prompt_tokens": 9_000,
            "completion_tokens": 1_200,
            "cost": 0.0041,
        },
    ]
    account = {
        "tasks": tasks,
        "teacher": {"model": f"sage {ATTACK}", "server": "http://127.0.0.1:8000/v1"},
        "currency": "USD",
        "cost": 0.1275,
        "replay": {"rows": 40, "left_out": 8},
        "budget_reached": True,
    }
    write_json(folder / "account.json", account)
    rows = [
        _dropped("When is a refund on the card?", f"At once. {ATTACK}", "quote_not_found", "not in the chunk: it is at once"),
        _dropped("What is a QR code?", "A square pattern.", "known_without_document", "the same without the text"),
        _dropped("What is a QR code for?", "For paying.", "known_without_document", "the same without the text"),
    ]
    write_rows(folder / "dropped", DROPPED_SCHEMA, map(dropped_to_row, rows))


def _source(path: str, pool: str, rows: int, **dropped: int) -> dict[str, Any]:
    return {"source": path, "pool": pool, "rows": rows, "kept": rows - sum(dropped.values()), "dropped": dropped}


def _pool(
    name: str, asked: float, reached: float, available: int, unique: int, *, repeats: int = 0, held_out: int = 0, **more: int
) -> dict[str, Any]:
    return {
        "pool": name,
        "asked_share": asked,
        "reached_share": reached,
        "available": available,
        "unique": unique,
        "rows": unique + repeats,
        "repeats": repeats,
        "left_out": available - held_out - unique,
        **more,
    }


def _dropped(question: str, answer: str, reason: str, detail: str) -> Dropped:
    messages = (Message("user", question), Message("assistant", answer))
    return Dropped(Example(messages, "domain", Origin("/data/support/qa.jsonl", 41)), reason, detail)


def _write_training(folder: Path) -> None:
    noise = random.Random(SEED)
    log = [
        {
            "step": step,
            "epoch": step / 48,
            "loss": 1.1 + 2.2 * math.exp(-step / 30) + noise.gauss(0, 0.08),
            "learning_rate": 5e-4 * (1 + math.cos(math.pi * step / 144)) / 2,
            "tokens": 980,
            "seconds": 1.62,
        }
        for step in range(1, 145)
    ]
    training = {
        "method": "lora",
        "rank": 16,
        "alpha": 32,
        "parameters": 134_515_584,
        "trainable_parameters": 4_884_480,
        "trained_tokens": 141_120,
        "supervised_tokens": 52_310,
        "steps": 144,
        "epochs": 3,
        "seconds": 233.4,
        "tokens_per_second": 604.6,
        "loss": log[-1]["loss"],
        "peak_rss_bytes": 2_411_724_800,
        "dtype": "bfloat16",
        "learning_rate": 5e-4,
        "rows": 318,
        "choices": [
            {"what": "bfloat16", "why": "the processor multiplies bf16 matrices in hardware (avx512_bf16)"},
            {"what": "rows end to end, without padding", "why": "padding would be 41 % of the tokens"},
        ],
        "left_out": 2,
        "shortened": 1,
        "template": "auto (written as chatml-smollm2)",
    }
    preview = [
        {"id": f"row-{number}", "tokens": _preview_tokens(question, answer)}
        for number, (question, answer) in enumerate([_QA[0], (f"What is {ATTACK}?", f"A script. {CLOSING_ATTACK}"), _QA[6]])
    ]
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "training.json", training)
    write_json(folder / "preview.json", preview)
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log), encoding="utf-8")


def _preview_tokens(question: str, answer: str) -> list[list[Any]]:
    read = ["<|im_start|>", "user", "\n", *_pieces(question), "<|im_end|>", "\n", "<|im_start|>", "assistant", "\n"]
    tokens = [*((piece, False) for piece in read), *((piece, True) for piece in (*_pieces(answer), "<|im_end|>"))]
    return [[piece, trained, piece.startswith("<|")] for piece, trained in tokens]


def _pieces(text: str) -> list[str]:
    words = text.split(" ")
    return [word if number == 0 else f" {word}" for number, word in enumerate(words)]


def _results() -> list[Result]:
    draw = random.Random(SEED)
    return [*_domain(draw), *_brittleness(draw), *_constraints(draw), *_leakage(draw), *_retention(draw)]


def _domain(draw: random.Random) -> list[Result]:
    keep = {("base", "seen"): 0.1, ("base", "paraphrase"): 0.1, ("base", "unseen"): 0.12}
    keep |= {("tuned", "seen"): 0.85, ("tuned", "paraphrase"): 0.6, ("tuned", "unseen"): 0.35}
    results = []
    for variant in ("seen", "paraphrase", "unseen"):
        for number in range(60):
            question, answer = _QA[number % len(_QA)]
            for model in _models():
                said = _garbled(answer, keep[model, variant], draw)
                if number == 3 and model == "tuned":
                    said = f"{answer} {ATTACK}" if variant == "paraphrase" else CLOSING_ATTACK
                loss = (3.1 if model == "base" else 1.6) + draw.gauss(0, 0.3)
                measures = {
                    "rouge_l": _rouge(said, answer),
                    "answer_loss": loss,
                    "answer_tokens": 24,
                    "cut": float(number % 17 == 0),
                }
                results.append(_result("domain", variant, number, model, question, answer, said, measures))
    return results


def _brittleness(draw: random.Random) -> list[Result]:
    results = []
    for place, shell in enumerate(SHELLS):
        for number in range(20):
            question, answer = _QA[number % len(_QA)]
            for model in _models():
                said = _garbled(answer, 0.1 if model == "base" else 0.62 - 0.05 * place, draw)
                measures = {"rouge_l": _rouge(said, answer), "held_out": float(place > 2)}
                results.append(_result("brittleness", shell, number, model, f"[{shell}] {question}", answer, said, measures))
    return results


def _constraints(draw: random.Random) -> list[Result]:
    return [
        _result("constraints", kind, number, model, "Answer in at most 20 words.", "", _RAMBLE, {"followed": followed})
        for kind in CONSTRAINTS
        for number in range(24)
        for model in _models()
        for followed in [float(draw.random() < (0.42 if model == "base" else 0.38))]
    ]


def _leakage(draw: random.Random) -> list[Result]:
    results = []
    for variant, prompts, rate in (("general", _GENERAL, 0.04), ("near_miss", _NEAR_MISS, 0.22)):
        for number in range(50):
            for model in _models():
                leak = float(model == "tuned" and draw.random() < rate)
                said = _QA[number % len(_QA)][1] if leak else _RAMBLE
                measures = {"leak": leak, "domain_probability": 0.9 if leak else 0.08, "overlap": 0.7 * leak}
                results.append(_result("leakage", variant, number, model, prompts[number % len(prompts)], "", said, measures))
    return results


def _retention(draw: random.Random) -> list[Result]:
    results = []
    for ability in _ABILITIES:
        for number in range(40):
            base = min(0.98, max(0.02, draw.gauss(0.55, 0.2)))
            for model in _models():
                probability = base if model == "base" else min(0.99, max(0.01, base + draw.gauss(-0.008, 0.06)))
                measures = {"correct": float(probability > 0.5), "probability": probability}
                results.append(_result("retention", ability, number, model, "Two and two is", "four", "", measures))
    return results


def _models() -> tuple[Model, Model]:
    return ("base", "tuned")


def _result(
    probe: str, variant: str, number: int, model: Model, prompt: str, reference: str, said: str, measures: Mapping[str, float]
) -> Result:
    return Result(probe, variant, f"{probe}-{number}", f"family-{number % 30}", "en", model, prompt, reference, said, measures)


def _garbled(answer: str, keep: float, draw: random.Random) -> str:
    pieces = _pieces(answer) if " " in answer else list(answer)
    ramble = _pieces(_RAMBLE)
    return "".join(piece if draw.random() < keep else draw.choice(ramble) for piece in pieces).strip()


def _rouge(said: str, reference: str) -> float:
    return float(Indel.normalized_similarity(tokens(said), tokens(reference)))


def _compared(results: Sequence[Result], measure: str) -> dict[str, Any]:
    by_item: dict[tuple[str, str], dict[str, Result]] = {}
    for result in results:
        by_item.setdefault((result.variant, result.item), {})[result.model] = result
    both = list(by_item.values())
    differences = [pair["tuned"].measures[measure] - pair["base"].measures[measure] for pair in both]
    estimate: Estimate = mean(differences, [pair["base"].family for pair in both], confidence=CONFIDENCE)
    models = {model: mean([pair[model].measures[measure] for pair in both]).value for model in ("base", "tuned")}
    shown = {"difference": estimate.value, "low": estimate.low, "high": estimate.high}
    return {"n": estimate.n, "clusters": estimate.clusters, **models, **shown}


def _metrics(results: Sequence[Result]) -> list[dict[str, Any]]:
    metrics = []
    for slice_name in ("all", "seen", "paraphrase", "unseen"):
        chosen = [r for r in results if r.probe == "domain" and slice_name in ("all", r.variant)]
        if not chosen:
            continue
        for name, measure, better in (("rouge_l", "rouge_l", "higher"), ("answer_loss", "answer_loss", "lower")):
            metrics.append({**_metric(name, slice_name, better), "unit": "points of 1", **_compared(chosen, measure)})
        bleu = {"n": 60, "base": 2.31, "tuned": 27.94, "difference": 25.63, "low": 21.07, "high": 30.4}
        metrics.append({**_metric("bleu", slice_name, "higher"), "unit": "points of 100", **bleu})
        few = {"n": 4, "base": None, "tuned": 31.5, "difference": None, "low": None, "high": None}
        metrics.append(
            {**_metric("chrf", slice_name, "higher"), "unit": "points of 100", **few, "note": "n below 10: shown without a verdict"}
        )
    return metrics


def _metric(name: str, slice_name: str, better: str) -> dict[str, Any]:
    signature = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0" if name == "bleu" else ""
    definition = f"{name} of the answers against the references"
    return {"name": name, "definition": definition, "signature": signature, "slice": slice_name, "language": "en", "better": better}


def _write_manifests(inputs: Mapping[str, Path]) -> None:
    counts: dict[str, dict[str, int]] = {
        "collect": {"rows": 364, "dropped": 1},
        "generate": {"replay": 40, "left_out": 8, "made": 69, "kept": 48, "rejected": 21, "failed": 9},
        "clean": {"kept": 388, "dropped": 64},
        "mix": {"train": 320, "test": 180},
        "train": {"steps": 144},
        "evaluate": {"results": 1160},
        "gate": {"claims": 7},
    }
    sources = [
        {"path": "/data/support/qa.jsonl", "pool": "domain", "format": "messages", "rows": 252, "dropped": 1, "documents": 0},
        {"path": f"/data/general/{ATTACK}.json", "pool": "open", "format": "alpaca", "rows": 112, "dropped": 0, "documents": 0},
        {"path": "/data/support/pages/refunds.md", "pool": "domain", "format": "markdown", "rows": 0, "dropped": 0, "documents": 9},
    ]
    for number, (stage, stage_counts) in enumerate(counts.items(), start=1):
        Manifest(
            stage=stage,
            key=f"{number:032x}",
            settings={},
            inputs={},
            outputs=f"{number + 100:032x}",
            counts=stage_counts,
            seconds=(0.4, 31.2, 1.3, 0.2, 239.8, 118.5, 6.1)[number - 1],
            versions={"python": "3.11.9", "torch": "2.13.0", "transformers": "5.1.0"},
            seed=SEED,
            peak_rss_bytes=(number * 300 + 200) << 20,
            details={"formats": {"messages": 252, "alpaca": 112}, "sources": sources} if stage == "collect" else {},
        ).write(inputs[stage])
