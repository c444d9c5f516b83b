"""One side of the training benchmark: `ours`, or `peer MODEL ROWS`; prints one JSON line.

Both sides train LoRA of rank 8 on all linear layers for one epoch on the same rows and count the same tokens: those of the chat
template, cut at 512, without padding.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RANK, ALPHA, CONTEXT, RATE = 8, 16, 512, 2e-4


def ours() -> dict[str, Any]:
    """The stage `train` on the bundled English rows, general ones first; leaves the rows for the peer."""
    from tunewell import train
    from tunewell.bundled import asset, read_jsonl
    from tunewell.model.locate import locate
    from tunewell.recipe import Recipe
    from tunewell.records import EXAMPLE_SCHEMA, Example, Message, Origin, example_to_row
    from tunewell.store import write_rows

    general = json.loads(asset("open", "en.json").read_text(encoding="utf-8"))
    conversations = [
        [
            {"role": "user", "content": f"{row['instruction']}\n{row['input']}".strip()},
            {"role": "assistant", "content": row["output"]},
        ]
        for row in general
    ]
    conversations += [row["messages"] for row in read_jsonl("support", "en", "qa.jsonl") if len(row["messages"]) == 2]
    folder = Path(tempfile.mkdtemp(prefix="tunewell-bench-"))
    rows = [
        Example(tuple(Message(**message) for message in messages), "open", Origin("bench", number))
        for number, messages in enumerate(conversations)
    ]
    write_rows(folder / "mix" / "train", EXAMPLE_SCHEMA, map(example_to_row, rows))
    (folder / "rows.json").write_text(json.dumps(conversations), encoding="utf-8")
    settings = {
        "rank": RANK,
        "alpha": ALPHA,
        "context": CONTEXT,
        "learning_rate": RATE,
        "epochs": 1,
        "batch_tokens": 384,
        "save_every": 10_000,
    }
    recipe = Recipe.model_validate({"train": settings})
    model = locate("smollm2-135m")
    (folder / "train").mkdir()
    inputs = {"mix": folder / "mix", "model": model}
    details = train.run(recipe.part("train", "template", "seed"), inputs, folder / "train").details
    log = [json.loads(line) for line in (folder / "train" / "log.jsonl").read_text().splitlines()]
    return {
        "tokens_per_second": details["tokens_per_second"],
        "rows": len(conversations),
        "model": str(model),
        "rows_file": str(folder / "rows.json"),
        "loss": _tail([line["loss"] for line in log]),
    }


def peer(model: str, rows_file: str) -> dict[str, Any]:
    """TRL's SFTTrainer with its defaults, batch 4, loss on the answers as on our side."""
    import torch
    from datasets import Dataset  # type: ignore[import-not-found]  # lives in the peers' environment
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer  # type: ignore[import-not-found]

    conversations = json.loads(Path(rows_file).read_text(encoding="utf-8"))
    tokenizer = AutoTokenizer.from_pretrained(model)
    texts = [tokenizer.apply_chat_template(messages, tokenize=False) for messages in conversations]
    tokens = sum(min(len(tokenizer(text, add_special_tokens=False).input_ids), CONTEXT) for text in texts)
    data = Dataset.from_list([{"prompt": messages[:-1], "completion": messages[-1:]} for messages in conversations])
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16),
        args=SFTConfig(
            output_dir=tempfile.mkdtemp(prefix="trl-bench-"),
            per_device_train_batch_size=4,
            num_train_epochs=1,
            learning_rate=RATE,
            max_length=CONTEXT,
            bf16=True,
            use_cpu=True,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
        ),
        train_dataset=data,
        processing_class=tokenizer,
        peft_config=LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    start = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - start
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {"tokens_per_second": tokens / seconds, "seconds": seconds, "loss": _tail(losses)}


def _tail(losses: list[float]) -> float:
    last = losses[-max(1, len(losses) // 4) :]
    return sum(last) / len(last)


if __name__ == "__main__":
    side = ours if sys.argv[1] == "ours" else peer
    sys.stdout.write(json.dumps(side(*sys.argv[2:])) + "\n")
