"""`tunewell sweep prompt` as a person and as a script use it."""

import json
import sys
from inspect import signature
from pathlib import Path

import pytest

from tunewell.cli import main
from tunewell.cli.sweep import prompt
from tunewell.sweep import ITEMS

_OPTIONS = ("--items", "6", "--set", "generate.replay=0")


def _call(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["tunewell", "sweep", "prompt", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0)


def test_it_prints_a_table_with_the_advice_and_the_same_as_json(
    recipe_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    family = tmp_path / "mine.yaml"
    family.write_text('source: a test\nturn: ["Q: ", {content: user}, "\\nA:"]\nend: [{special: eos}]\n', encoding="utf-8")
    arguments = (recipe_path, "--run", tmp_path / "run", *_OPTIONS, "--formats", f"phi-3, {family}")
    assert _call(monkeypatch, *arguments) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].split() == ["format", "n", "BLEU", "interval", "ROUGE-L", "loss", "cut"]
    assert any(line.startswith("behind the best") for line in lines)
    assert any(line.startswith("not scored: phi-3: the tokenizer has no token `<|") for line in lines)
    assert any(line.startswith("BLEU (en): nrefs:1") for line in lines)
    assert "✓ mine.yaml" in printed.err
    assert lines[-1] == f"table: {tmp_path / 'run' / 'sweeps' / 'prompt' / 'table.md'}"
    assert "The recipe says" in lines[-2]

    assert _call(monkeypatch, *arguments, "--json") == 0
    table = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"run", "rows", "not_scored", "advice"} <= table.keys()
    assert {"format", "n", "bleu", "low", "high", "rouge_l", "answer_loss", "cut", "stop"} <= table["rows"][0].keys()
    assert table["advice"]["text"] == lines[-2]
    [mine] = [row for row in table["rows"] if row["format"] == str(family)]
    assert (mine["label"], mine["role"]) == ("mine.yaml", "team")
    assert mine["example"].startswith("Q: ")
    assert mine["example"].endswith("\nA:")

    assert _call(monkeypatch, *arguments, "--set", "report.language=zh") == 0
    assert capsys.readouterr().out.splitlines()[-2] == table["advice"]["text_zh"]


def test_mistakes_end_in_one_message_and_exit_code_2(
    recipe_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call(monkeypatch, recipe_path, "--run", tmp_path / "run", *_OPTIONS, "--formats", "mine.yaml") == 2
    printed = capsys.readouterr()
    assert "error: template: there is no prompt family `mine.yaml`" in printed.err
    assert "hint: " in printed.err
    assert printed.out == ""
    assert not (tmp_path / "run").exists()


def test_the_command_asks_as_many_items_as_the_function() -> None:
    assert signature(prompt).parameters["items"].default == ITEMS


def test_an_interruption_ends_in_a_sentence(
    recipe_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import tunewell.sweep

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tunewell.sweep, "sweep_prompt", interrupted)
    assert _call(monkeypatch, recipe_path, "--run", tmp_path / "run", *_OPTIONS) == 130
    assert "stopped; the same command goes on from here" in capsys.readouterr().err
