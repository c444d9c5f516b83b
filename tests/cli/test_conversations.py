"""`tunewell template list | show | ids | text` on files as users have them."""

import json
from pathlib import Path

import pytest

from tunewell.cli import main
from tunewell.template import family_names


def _call(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path | int) -> int:
    monkeypatch.setattr("sys.argv", ["tunewell", "template", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    turns = [{"role": "user", "content": "Blue?"}, {"role": "assistant", "content": "Green."}]
    lines = [
        {"messages": turns},
        {"messages": [*turns, *turns]},
        {"messages": turns[:1]},
        {"instruction": "Translate", "input": "a line", "output": "eine Zeile"},
        {"colour": "blue"},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_every_family_is_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert _call(monkeypatch, "list", "--json") == 0
    families = json.loads(capsys.readouterr().out.splitlines()[-1])["families"]
    assert [family["name"] for family in families] == family_names()
    assert all(family["source"] for family in families)


def test_text_needs_no_tokenizer_and_ends_a_question_with_the_generation_prompt(
    rows: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call(monkeypatch, "text", rows, "--family", "belle-2023-06") == 0
    said = capsys.readouterr()
    asked, answered = "Human: \nBlue?\n\nAssistant: \n", "Human: \nBlue?\n\nAssistant: \nGreen.</s>"
    third = "Human: \nTranslate\na line\n\nAssistant: \neine Zeile</s>"
    assert said.out == f"{answered}\n{answered}{answered}\n{asked}\n{third}\n"
    assert "passed over" in said.err
    assert "rows.jsonl:5" in said.err


def test_ids_are_one_json_line_a_conversation(
    rows: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call(monkeypatch, "ids", rows, "--tokenizer", tiny_model, "--answers", "last") == 0
    every = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [set(line) for line in every] == [{"ids", "labels"}] * 4
    trained = [[label for label in line["labels"] if label != -100] for line in every]
    assert trained[0] == trained[1] != []
    assert trained[2] == []


def test_a_row_that_the_family_refuses_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"system": "Be brief.", "question": "Blue?", "answer": "Green."}) + "\n", encoding="utf-8")
    assert _call(monkeypatch, "text", path, "--family", "gemma") == 2
    error = capsys.readouterr().err
    assert "rows.jsonl:1: `gemma` has no place for a system text" in error
    assert "hint: put it into the question" in error


def test_show_names_what_is_cut_and_what_cannot_be_trained(
    rows: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call(monkeypatch, "show", rows, "--tokenizer", tiny_model, "--context", 30, "--rows", 1) == 0
    said = capsys.readouterr()
    assert "«Green.<|im_end|>»" in said.out
    assert "without its 1 oldest turns" in said.out
    assert "no answer to train" in said.out
    assert "too long for 30 even without its older turns" in said.out
    assert "4 conversations: 1 whole, 1 shortened, 1 untrained, 1 too long" in said.err


def test_what_is_refused_is_named_and_the_rest_goes_on(
    rows: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = rows.read_text(encoding="utf-8").splitlines()
    with_system = json.dumps({"system": "Be brief.", "question": "Blue?", "answer": "Green."})
    rows.write_text("\n".join([lines[0], with_system, lines[3]]) + "\n", encoding="utf-8")
    for command in ("text", "ids"):
        options = ("--tokenizer", tiny_model) if command == "ids" else ()
        assert _call(monkeypatch, command, rows, "--family", "bloomz", *options) == 2
        said = capsys.readouterr()
        assert len(said.out.splitlines()) >= 2
        assert ("eine Zeile" in said.out) is (command == "text")
        assert said.err.count("has no place for a system text") == 1
        assert "rows.jsonl:2: `bloomz`" in said.err


def test_text_takes_the_tokenizer_that_is_named(
    rows: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call(monkeypatch, "text", rows, "--family", "belle-2023-06", "--tokenizer", tiny_model) == 0
    assert capsys.readouterr().out.startswith("Human: \nBlue?\n\nAssistant: \nGreen.<|im_end|>\n")


@pytest.mark.parametrize("command", ["ids", "text", "show"])
@pytest.mark.parametrize(
    "files", [{}, {"tokenizer_config.json": '{"tokenizer_class": "LlamaTokenizer"}'}, {"tokenizer.json": "{}"}]
)
def test_a_tokenizer_that_cannot_be_used_is_one_clear_error(
    command: str,
    files: dict[str, str],
    rows: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    assert _call(monkeypatch, command, rows, "--tokenizer", folder) == 2
    said = capsys.readouterr()
    assert f"{folder}: the tokenizer " in said.err
    assert "hint: a folder with tokenizer.json" in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


def test_an_empty_name_is_no_tokenizer(
    rows: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tiny_model)
    for arguments in (("ids", rows), ("text", rows, "--family", "alpaca"), ("verify", "--family", "auto")):
        assert _call(monkeypatch, *arguments, "--tokenizer", "") == 2
        assert "error: --tokenizer: no tokenizer is named" in capsys.readouterr().err


def test_show_lets_no_escape_of_a_file_name_through(
    rows: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = rows.rename(rows.with_name("\x1b[31m.jsonl"))
    assert _call(monkeypatch, "show", odd, "--tokenizer", tiny_model) == 0
    said = capsys.readouterr()
    assert "�[31m.jsonl:1" in "".join(said.out.split())  # a long path is folded where the terminal ends
    assert "\x1b" not in said.out + said.err
    assert "; «trained», the rest is only read" in " ".join(said.out.split())


def test_a_template_is_compiled_with_marks_or_without(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert _call(monkeypatch, "compile", "--family", "chatml-smollm2") == 0
    assert "{%- generation %}" in capsys.readouterr().out
    assert _call(monkeypatch, "compile", "--family", "chatml-smollm2", "--plain") == 0
    said = capsys.readouterr().out
    assert "generation %}" not in said
    assert said.startswith("{%-")


def test_a_modelfile_takes_adapter_system_and_context(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--adapter", "tuned.gguf", "--system", "Be brief.", "--context", 512)
    assert _call(monkeypatch, "compile", "--family", "chatml-smollm2", "--to", "modelfile", *options) == 0
    said = capsys.readouterr().out
    assert {"ADAPTER tuned.gguf", "PARAMETER num_ctx 512", 'SYSTEM """Be brief."""'} <= set(said.splitlines())
    assert _call(monkeypatch, "compile", "--family", "chatml-smollm2", *options) == 2
    assert "--adapter, --system, --context: it has no meaning with --to jinja" in capsys.readouterr().err
    assert _call(monkeypatch, "compile", "--family", "auto", "--plain") == 2
    assert "is compiled from a family" in capsys.readouterr().err


def test_an_unknown_family_and_a_missing_file_are_one_clear_line(
    rows: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call(monkeypatch, "text", rows, "--family", "vicuna") == 2
    assert "did you mean `vicuna-1.1`?" in capsys.readouterr().err
    assert _call(monkeypatch, "text", rows.with_name("none.jsonl"), "--family", "alpaca") == 2
    assert "there is no such file" in capsys.readouterr().err
