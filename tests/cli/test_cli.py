"""The command line as a person and as a script use it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tunewell.cli import main


def _tunewell(*arguments: str | Path, cwd: Path | None = None, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tunewell", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=240, input=stdin, check=False)


def _last_json(done: "subprocess.CompletedProcess[str]") -> dict[str, object]:
    value: dict[str, object] = json.loads(done.stdout.strip().splitlines()[-1])
    return value


def _call(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run the command line in this process; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["tunewell", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0)


def test_help_is_instant_and_does_not_load_torch() -> None:
    heavy = {"torch", "transformers", "pyarrow", "pydantic"}
    code = f"import sys; from tunewell.cli.app import app; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    done = _tunewell("--help")
    assert done.returncode == 0
    for command in ("run", "demo", "init", "train", "evaluate", "gate", "chat", "data"):
        assert f"  {command} " in done.stdout


def test_a_recipe_with_five_mistakes_exits_2_without_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("modle: x\nseed: -1\ntrain: {epoch: 3, rank: 0}\ngate: {retention: 2}\n")
    done = _tunewell("run", path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {path}: 5 mistakes in the recipe\n")
    for key in ("modle", "seed", "train.epoch", "train.rank", "gate.retention"):
        assert f"\n  {key}: " in done.stderr
    assert "\n\nhint: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_model_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    (tmp_path / "rows.jsonl").write_text('{"question": "a b?", "answer": "c d"}\n')
    path.write_text("model: ./nowhere\ndata: {domain: [rows.jsonl]}\n")
    done = _tunewell("run", path)
    assert done.returncode == 2
    assert "there is no model `./nowhere`" in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path, recipe_path: Path) -> None:
    if os.geteuid() == 0:
        target = Path("/proc/tunewell-run")
    else:
        target = tmp_path / "closed" / "run"
        target.parent.mkdir(mode=0o500)
    done = _tunewell("run", recipe_path, "--run", target)
    assert done.returncode == 2
    assert str(target) in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr


def test_run_ends_with_table_verdict_and_json(recipe_path: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = _tunewell("run", recipe_path, "--run", run, "--json")
    assert done.returncode == 0, done.stderr
    result = _last_json(done)
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    assert result == {
        "run": str(run),
        "verdict": metrics["verdict"],
        "report": str(run / "report.html"),
        "metrics": str(run / "metrics.json"),
    }
    for stage in ("collect", "generate", "clean", "mix", "train", "evaluate", "gate", "report"):
        assert f"✓ {stage}" in done.stderr

    shown = _tunewell("run", recipe_path, "--run", run)
    assert "unchanged, skipped" in shown.stderr
    assert metrics["reason"] in shown.stdout
    assert f"report: {run / 'report.html'}" in shown.stdout
    for claim in metrics["claims"]:
        assert claim["title"] in shown.stdout

    verdict = _tunewell("gate", recipe_path, "--run", run, "--require", "pass")
    assert verdict.returncode == (0 if metrics["verdict"] == "pass" else 3)

    trained = _last_json(_tunewell("train", recipe_path, "--run", run, "--json"))
    assert set(trained) == {"adapter", "trained_tokens", "seconds", "tokens_per_second", "loss", "peak_rss_bytes"}
    assert (Path(str(trained["adapter"])) / "adapter_model.safetensors").exists()

    evaluated = _tunewell("evaluate", recipe_path, "--run", run)
    assert "rouge" in evaluated.stdout.lower()

    spoken = _tunewell("chat", run, "--max-new-tokens", "4", stdin="How long?\n/new\nAnd now?\n\n")
    assert spoken.returncode == 0, spoken.stderr
    assert [line.split()[0] for line in spoken.stdout.splitlines() if line.strip()] == ["base", "tuned"] * 2


def test_a_run_with_nothing_to_do_takes_seconds_and_never_loads_torch(recipe_path: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert _tunewell("run", recipe_path, "--run", run).returncode == 0
    code = (
        "import sys; from pathlib import Path; from tunewell.recipe import load_recipe; from tunewell.pipeline import run_recipe;"
        f"outcomes = run_recipe(load_recipe(Path({str(recipe_path)!r})), Path({str(run)!r}));"
        "assert all(outcome.skipped for outcome in outcomes); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_data_commands_collect_clean_and_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "rows.jsonl"
    rows = [{"question": f"what about {word}?", "answer": f"{word} is fine"} for word in ("apples", "pears", "plums")]
    rows += [rows[0], {"question": "draw me a picture of it", "answer": "no"}]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert _call(monkeypatch, "data", "collect", source, "--out", tmp_path / "collected", "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 5
    clean = ("data", "clean", tmp_path / "collected", "--out", tmp_path / "kept", "--set", "clean.novelty=1", "--json")
    assert _call(monkeypatch, *clean) == 0
    assert json.loads(capsys.readouterr().out) == {"kept": 3, "dropped": {"blacklist": 1, "duplicate": 1}}
    assert _call(monkeypatch, "data", "cat", tmp_path / "kept") == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["messages"][0]["content"] for row in printed] == ["what about apples?", "what about pears?", "what about plums?"]
    assert all({"id", "messages", "origin"} <= set(row) for row in printed)
    assert printed[1]["origin"]["row"] == 2


def test_data_inspect_names_the_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "rows.json"
    source.write_text(json.dumps([{"instruction": "Say hi", "input": "", "output": "Hi [b]there[/b]"}]))
    assert _call(monkeypatch, "data", "inspect", source) == 0
    printed = capsys.readouterr().out
    assert "alpaca (1)" in printed
    assert "Hi [b]there[/b]" in printed, "markup in data is shown, not obeyed"
    assert _call(monkeypatch, "data", "inspect", source, "--json") == 0
    assert json.loads(capsys.readouterr().out)["files"][0]["formats"] == {"alpaca": 1}


def test_data_collect_says_what_it_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "rows.jsonl").write_text('{"question": "a", "answer": "b"}\n')
    (tmp_path / "in" / "names.json").write_text('["a", "b"]')
    assert _call(monkeypatch, "data", "collect", tmp_path / "in", "--out", tmp_path / "out") == 0
    assert f"passed over, neither rows nor a document: {tmp_path}/in/names.json" in capsys.readouterr().err
    assert _call(monkeypatch, "data", "collect", tmp_path / "in", "--out", tmp_path / "out", "--json") == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["rows"], result["skipped"], result["left_out"]) == (1, [f"{tmp_path}/in/names.json"], [])


def test_data_mix_says_what_was_asked_and_reached(
    recipe_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call(monkeypatch, "data", "mix", recipe_path) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split("  ")[0] == "pool"
    assert "thrown away" in table[0]
    assert [line.split()[0] for line in table[1:]] == ["domain", "open"]
    assert _call(monkeypatch, "data", "mix", recipe_path, "--json") == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["train"] == sum(pool["rows"] for pool in result["mixture"]["pools"])
    assert all(pool["tokens"] > 0 for pool in result["mixture"]["pools"])


def test_data_check_exits_1_on_an_error(
    recipe_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call(monkeypatch, "data", "check", recipe_path, "--json") == 0
    capsys.readouterr()
    data = recipe_path.parent / "domain.jsonl"
    data.write_text(data.read_text() + "{broken\n")
    assert _call(monkeypatch, "data", "check", recipe_path) == 1
    printed = capsys.readouterr().out
    assert f"{data}:{len(data.read_text().splitlines())}" in printed
    assert "→" in printed


def test_init_writes_a_recipe_that_is_valid_and_touches_nothing_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "project"
    assert _call(monkeypatch, "init", target) == 0
    assert str(target / "recipe.yaml") in capsys.readouterr().out
    assert _call(monkeypatch, "data", "check", target / "recipe.yaml", "--json") == 0
    assert _call(monkeypatch, "init", target) == 2
    assert "nothing is overwritten" in capsys.readouterr().err


def test_an_unknown_run_cannot_be_talked_to(tmp_path: Path) -> None:
    done = _tunewell("chat", tmp_path)
    assert done.returncode == 2
    assert "there is no trained model here" in done.stderr


def test_version_is_printed() -> None:
    from tunewell import __version__

    assert _tunewell("--version").stdout.strip() == __version__


def test_an_interrupted_command_says_how_to_go_on(
    recipe_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tunewell import pipeline

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "run_recipe", interrupt)
    assert _call(monkeypatch, "run", recipe_path) == 130
    assert "the same command goes on from here" in capsys.readouterr().err
