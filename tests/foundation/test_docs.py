"""The documents say what the code does."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

_REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", _REPOSITORY / "scripts" / "generate_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_current(generator: ModuleType) -> None:
    for path, text in generator.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is out of date: run `make docs`"


def test_every_command_has_help(generator: ModuleType) -> None:
    page = generator.cli_page()
    for command in ("run", "demo", "init", "train", "evaluate", "gate", "chat", "data inspect", "data check", "data collect"):
        assert f"## `tunewell {command}`" in page


def test_both_readmes_name_the_two_commands() -> None:
    for name in ("README.md", "README.zh.md"):
        text = (_REPOSITORY / name).read_text(encoding="utf-8")
        assert "make demo" in text
        assert "make test" in text
