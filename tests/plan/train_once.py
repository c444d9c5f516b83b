"""Train the embedded model for some steps in a process of its own, and print what it needed: `METHOD BATCH_TOKENS FOLDER`."""

import json
import os
import sys
from pathlib import Path


def main(method: str, batch_tokens: str, folder: str) -> None:
    os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] = "256"  # as the command line sets it
    from tunewell import train
    from tunewell.model.locate import EMBEDDED, locate
    from tunewell.recipe import Recipe
    from tunewell.records import EXAMPLE_SCHEMA, Example, Message, Origin, example_to_row
    from tunewell.store import write_rows

    place = Path(folder)
    text = " ".join(f"Step {n}: open the dashboard and choose payouts." for n in range(8))
    rows = [
        Example((Message("user", f"How do I do {n}?"), Message("assistant", f"{text} {n}")), "domain", Origin("rows", n))
        for n in range(4)
    ]
    write_rows(place / "mix" / "train", EXAMPLE_SCHEMA, map(example_to_row, rows))
    (place / "train").mkdir()
    settings = {"method": method, "rank": 8, "epochs": 1, "batch_tokens": int(batch_tokens), "save_every": 1000}
    recipe = Recipe.model_validate({"train": settings})
    details = train.run(recipe, {"mix": place / "mix", "model": locate(EMBEDDED)}, place / "train").details
    log = [json.loads(line) for line in (place / "train" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    heaviest = max(line["tokens"] for line in log)
    share = details["supervised_tokens"] / details["trained_tokens"]
    sys.stdout.write(json.dumps({"peak": details["peak_rss_bytes"], "tokens": heaviest, "share": share}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
