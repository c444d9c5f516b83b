"""`tunewell plan` as a person and as a script use it."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.plan.configs import PUBLISHED, TINY, write_config
from tunewell.cli import main


def _call(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["tunewell", "plan", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0)


def test_a_model_alone_is_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_config(tmp_path, PUBLISHED["LLaMA-13B"])
    targets = "train.targets=[q_proj,k_proj,v_proj,gate_proj,up_proj,down_proj]"
    assert _call(monkeypatch, folder, "--set", "train.rank=8", "--set", targets, "--json", "--tokens", "1000000") == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["trainable_parameters"] == 28_016_640
    assert found["hours"] > 0
    assert found["probe"] is None


def test_the_page_fits_into_100_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_config(tmp_path, PUBLISHED["Llama-3-70B"])
    assert (
        _call(monkeypatch, folder, "--set", "train.method=full", "--gpus", "16", "--card", "a100-80", "--tokens", "900000000") == 0
    )
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    assert out.startswith("LlamaForCausalLM, 70,553,706,496 parameters; full trains 70,553,706,496 (100.00%)\n")
    assert "GiB on each GPU" in out
    assert "gathered layers" in out
    assert "MI300X" in out


def test_a_recipe_is_planned_from_its_files_and_then_from_its_mixture(
    recipe_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call(monkeypatch, recipe_path, "--json") == 0
    early = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert early["tokens_from"] == "estimated from the files (42 rows, before generation and cleaning)"
    assert not (recipe_path.parent / "runs").exists()
    monkeypatch.setattr(sys, "argv", ["tunewell", "run", str(recipe_path), "--until", "mix", "--set", "generate.replay=0"])
    with pytest.raises(SystemExit):
        main()
    capsys.readouterr()
    assert _call(monkeypatch, recipe_path, "--json") == 0
    late = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert late["tokens_from"] == f"counted in {recipe_path.parent / 'runs' / 'recipe' / '4-mix'}"
    assert late["trained_tokens"] == pytest.approx(early["trained_tokens"], rel=0.5)
    assert late["advice"]


def test_a_probe_trains_and_corrects_the_plan(
    recipe_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call(monkeypatch, recipe_path, "--probe", "--json", "--set", "generate.replay=0") == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    probe = found["probe"]
    assert probe["steps"] >= 2
    assert probe["tokens_per_second"] > 0
    assert found["memory_gib"]["low"] <= probe["peak_gib"] <= found["memory_gib"]["high"]
    assert found["hours"] == pytest.approx(found["trained_tokens"] / probe["tokens_per_second"] / 3600, rel=0.01)
    run = recipe_path.parent / "runs" / "recipe"
    assert not (run / "5-train").exists()


def test_a_recipe_whose_model_is_a_config_alone_is_planned_without_tokens(
    recipe_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_config(tmp_path / "bare", TINY["qwen2"])
    assert _call(monkeypatch, recipe_path, "--set", f"model={folder}", "--json") == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["trained_tokens"], found["hours"]) == (None, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--probe"],
            "error: --probe: --probe trains on a recipe's rows, on this machine\n\nhint: give a recipe, and neither",
        ),
        (["--card", "Z9"], "error: --card: there is no card `Z9` in the table\n\nhint: allowed: T4, "),
        (["--set", "train.rank=0"], "error: --set: 1 mistake in the recipe\n  train.rank: 0 is not valid; "),
        (["--set", "train.targets=[nonesuch]"], "error: train.targets: ['nonesuch'] takes no adapter on this model: "),
    ],
)
def test_mistakes_end_in_one_message(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_config(tmp_path, TINY["llama"])
    assert _call(monkeypatch, folder, *arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(message)
    assert captured.out == ""


def test_a_model_that_is_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert _call(monkeypatch, tmp_path / "nowhere") == 2
    assert capsys.readouterr().err.startswith(
        f"error: {tmp_path / 'nowhere'}: there is no such recipe or model\n\nhint: give a recipe"
    )
    assert _call(monkeypatch, tmp_path / "nowhere.yaml") == 2
    assert "there is no such file" in capsys.readouterr().err


def test_a_model_folder_without_weights_is_enough(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(tiny_model / "config.json", tmp_path)
    assert _call(monkeypatch, tmp_path / "config.json", "--json") == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == 28_832
