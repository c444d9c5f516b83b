"""One side of the training benchmark: `ours METHOD`, or `trl` or `llamafactory` with METHOD MODEL ROWS; prints one JSON line.

All sides train for one epoch on the same rows and count the same tokens: those of the chat template, cut at 512, without padding.
METHOD is `lora` (rank 8 on all linear layers), `full` or `qlora`. Peers take batches of 4 rows and their defaults else.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RANK, ALPHA, CONTEXT, BATCH = 8, 16, 512, 4
RATES = {"lora": 2e-4, "qlora": 2e-4, "full": 2e-5}
_ROWS = 160


def ours(method: str) -> dict[str, Any]:
    """The stage `train` on bundled English rows; leaves the rows for the peers."""
    from tunewell import train
    from tunewell.model.locate import locate
    from tunewell.recipe import Recipe
    from tunewell.records import EXAMPLE_SCHEMA, Example, Message, Origin, example_to_row
    from tunewell.store import write_rows

    pairs = _pairs()
    folder = Path(tempfile.mkdtemp(prefix="tunewell-bench-"))
    rows = [
        Example((Message("user", question), Message("assistant", answer)), "open", Origin("bench", number))
        for number, (question, answer) in enumerate(pairs)
    ]
    write_rows(folder / "mix" / "train", EXAMPLE_SCHEMA, map(example_to_row, rows))
    (folder / "rows.json").write_text(json.dumps(pairs), encoding="utf-8")
    settings = {
        "method": method,
        "rank": RANK,
        "alpha": ALPHA,
        "context": CONTEXT,
        "learning_rate": RATES[method],
        "epochs": 1,
        "batch_tokens": 512,
        "save_every": 10_000,
    }
    recipe = Recipe.model_validate({"train": settings})
    model = locate("smollm2-135m")
    (folder / "train").mkdir()
    inputs = {"mix": folder / "mix", "model": model}
    details = train.run(recipe.part("train", "guard", "template", "seed"), inputs, folder / "train").details
    log = [json.loads(line) for line in (folder / "train" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return {
        "tokens_per_second": details["tokens_per_second"],
        "rows": len(pairs),
        "model": str(model),
        "rows_file": str(folder / "rows.json"),
        "loss": _tail([line["loss"] for line in log]),
        "peak_bytes": details["peak_rss_bytes"],
    }


def trl(method: str, model: str, rows_file: str) -> dict[str, Any]:
    """TRL's SFTTrainer, loss on the answers as on our side."""
    import torch
    from datasets import Dataset  # type: ignore[import-not-found]  # lives in the peers' environment
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer  # type: ignore[import-not-found]

    pairs = json.loads(Path(rows_file).read_text(encoding="utf-8"))
    data = Dataset.from_list([{"prompt": _messages(*pair)[:1], "completion": _messages(*pair)[1:]} for pair in pairs])
    adapter = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32 if method == "full" else torch.bfloat16),
        args=SFTConfig(
            output_dir=tempfile.mkdtemp(prefix="trl-bench-"),
            per_device_train_batch_size=BATCH,
            num_train_epochs=1,
            learning_rate=RATES[method],
            max_length=CONTEXT,
            bf16=True,
            use_cpu=True,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
        ),
        train_dataset=data,
        processing_class=AutoTokenizer.from_pretrained(model),
        peft_config=adapter if method == "lora" else None,
    )
    start = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - start
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {"tokens_per_second": _tokens(model, pairs) / seconds, "seconds": seconds, "loss": _tail(losses)}


def llamafactory(method: str, model: str, rows_file: str) -> dict[str, Any]:
    """LLaMA-Factory's command line, in the environment of this process; the seconds are those of its training loop."""
    pairs = json.loads(Path(rows_file).read_text(encoding="utf-8"))
    work = Path(tempfile.mkdtemp(prefix="llamafactory-bench-"))
    alpaca = [{"instruction": question, "input": "", "output": answer} for question, answer in pairs]
    (work / "rows.json").write_text(json.dumps(alpaca), encoding="utf-8")
    (work / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json"}}), encoding="utf-8")
    settings = {
        "model_name_or_path": model,
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "full" if method == "full" else "lora",
        "lora_rank": RANK,
        "lora_alpha": ALPHA,
        "lora_target": "all",
        "dataset_dir": str(work),
        "dataset": "rows",
        "template": "smollm2",
        "cutoff_len": CONTEXT,
        "output_dir": str(work / "out"),
        "per_device_train_batch_size": BATCH,
        "learning_rate": RATES[method],
        "num_train_epochs": 1.0,
        "bf16": True,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
    }
    if method == "qlora":
        settings |= {"quantization_bit": 4, "quantization_method": "bnb"}
    (work / "settings.yaml").write_text(json.dumps(settings), encoding="utf-8")
    command = [str(Path(sys.executable).parent / "llamafactory-cli"), "train", str(work / "settings.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""})
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    seconds = json.loads((work / "out" / "train_results.json").read_text(encoding="utf-8"))["train_runtime"]
    log = [json.loads(line) for line in (work / "out" / "trainer_log.jsonl").read_text(encoding="utf-8").splitlines()]
    losses = [line["loss"] for line in log if "loss" in line]
    return {"tokens_per_second": _tokens(model, pairs) / seconds, "seconds": seconds, "loss": _tail(losses)}


def _pairs() -> list[tuple[str, str]]:
    """Every other row a general one, every other one of the support domain."""
    from tunewell.bundled import asset, read_jsonl

    general = json.loads(asset("open", "en.json").read_text(encoding="utf-8"))
    support = [row["messages"] for row in read_jsonl("support", "en", "qa.jsonl") if len(row["messages"]) == 2]
    open_pairs = [(f"{row['instruction']}\n{row['input']}".strip(), row["output"]) for row in general]
    domain_pairs = [(messages[0]["content"], messages[1]["content"]) for messages in support]
    return [pair for both in zip(open_pairs, domain_pairs, strict=False) for pair in both][:_ROWS]


def _messages(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def _tokens(model: str, pairs: list[list[str]]) -> int:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    texts = [tokenizer.apply_chat_template(_messages(*pair), tokenize=False) for pair in pairs]
    return sum(min(len(tokenizer(text, add_special_tokens=False).input_ids), CONTEXT) for text in texts)


def _tail(losses: list[float]) -> float:
    last = losses[-max(1, len(losses) // 4) :]
    return sum(last) / len(last)


if __name__ == "__main__":
    sides: dict[str, Callable[..., dict[str, Any]]] = {"ours": ours, "trl": trl, "llamafactory": llamafactory}
    sys.stdout.write(json.dumps(sides[sys.argv[1]](*sys.argv[2:])) + "\n")
