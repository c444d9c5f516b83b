"""The data stages on many rows: `write FILE ROWS`, `run FILE` or `near FILE`; prints one JSON line.

`run` collects the file, cleans it with every rule but novelty and near duplicates, and mixes it, each stage through its function in
this process and its workers. Memory is the sum of the proportional set sizes of all these processes, sampled.
"""

import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_SAMPLE_SECONDS = 0.5


def write(path: Path, rows: int) -> dict[str, float]:
    """Alpaca rows of some 600 bytes: words by Zipf's law, one row in twenty a copy of an earlier one."""
    source = random.Random(0)
    vocabulary = [_word(source) for _ in range(50_000)]
    weights = [1 / (rank + 3) for rank in range(len(vocabulary))]
    # Drawing a word by weight for every place would take longer than all that is measured; stretches of one long text serve.
    text = source.choices(vocabulary, weights, k=2_000_000)
    recent: list[str] = []
    with path.open("w", encoding="utf-8") as handle:
        for number in range(rows):
            line = json.dumps(_row(source, text, number), ensure_ascii=False)
            if recent and number % 20 == 19:
                line = source.choice(recent)
            recent = [*recent[-99:], line]
            handle.write(line + "\n")
    return {"rows": rows, "bytes": path.stat().st_size}


def run(path: Path) -> dict[str, float]:
    """Collect, clean and mix."""
    from tunewell import clean, collect, mix
    from tunewell.recipe import recipe_from_values

    folder = Path(tempfile.mkdtemp(prefix="tunewell-scale-"))
    values = {
        "data": {"domain": [str(path)], "ratio": {"open": 0, "domain": 1}},
        "clean": {"skip": ["novelty", "near_duplicate"]},
    }
    recipe = recipe_from_values(values, where="bench", folder=folder)
    seconds = {}
    with _peak_memory() as peak:
        start = time.perf_counter()
        collect.run(recipe.part("data", "collect"), {}, folder / "collect")
        seconds["collect"] = time.perf_counter() - start
        cleaned = clean.run(recipe.part("clean"), {"collect": folder / "collect"}, folder / "clean")
        seconds["clean"] = time.perf_counter() - start - seconds["collect"]
        inputs = {"collect": folder / "collect", "clean": folder / "clean", "model": _model()}
        mix.run(recipe.part("data", "seed"), inputs, folder / "mix")
        seconds["all"] = time.perf_counter() - start
    shutil.rmtree(folder)
    return {
        "kept": cleaned.counts["kept"],
        "peak_bytes": peak[0],
        **seconds,
        "mix": seconds["all"] - seconds["collect"] - seconds["clean"],
    }


def near(path: Path) -> dict[str, float]:
    """Clean with the rule of near duplicates alone."""
    from tunewell import clean, collect
    from tunewell.clean import RULES
    from tunewell.recipe import recipe_from_values

    folder = Path(tempfile.mkdtemp(prefix="tunewell-scale-"))
    skip = [rule for rule in RULES if rule != "near_duplicate"]
    values = {"data": {"domain": [str(path)]}, "clean": {"skip": skip, "near_duplicates": 0.8}}
    recipe = recipe_from_values(values, where="bench", folder=folder)
    collect.run(recipe.part("data", "collect"), {}, folder / "collect")
    with _peak_memory() as peak:
        start = time.perf_counter()
        cleaned = clean.run(recipe.part("clean"), {"collect": folder / "collect"}, folder / "clean")
        seconds = time.perf_counter() - start
    shutil.rmtree(folder)
    return {"kept": cleaned.counts["kept"], "seconds": seconds, "peak_bytes": peak[0]}


@contextmanager
def _peak_memory() -> Iterator[list[int]]:
    peak, done = [0], threading.Event()

    def sample() -> None:
        while not done.wait(_SAMPLE_SECONDS):
            peak[0] = max(peak[0], sum(map(_memory, [os.getpid(), *_descendants(os.getpid())])))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            children = [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
        found += children + [below for child in children for below in _descendants(child)]
    return found


def _memory(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _model() -> Path:
    from tunewell.model.locate import locate

    return locate("smollm2-135m")


def _word(source: random.Random) -> str:
    return "".join(source.choices("etaoinshrdlucmfwypvbgk", k=source.randrange(2, 10)))


def _row(source: random.Random, text: list[str], number: int) -> dict[str, str]:
    def stretch(least: int, most: int) -> str:
        start = source.randrange(len(text) - most)
        return " ".join(text[start : start + source.randrange(least, most)])

    return {
        "instruction": f"{stretch(6, 20)} {number}?",
        "input": stretch(5, 20) if number % 3 == 0 else "",
        "output": stretch(40, 110),
    }


if __name__ == "__main__":
    side, file, *rest = sys.argv[1:]
    sides: dict[str, Callable[..., dict[str, float]]] = {"write": write, "run": run, "near": near}
    sys.stdout.write(json.dumps(sides[side](Path(file), *map(int, rest))) + "\n")
