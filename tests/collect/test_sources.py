"""Files, folders and globs."""

from pathlib import Path

import pytest

from tunewell.collect.sources import find_sources
from tunewell.errors import DataError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.jsonl", "a.csv", "sub/c.json", "sub/deep/d.md", ".hidden.json", ".git/config", "sub/.x/y.json"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    return tmp_path


def _names(folder: Path, *paths: str) -> list[str]:
    return [str(source.path.relative_to(folder)) for source in find_sources([str(folder / path) for path in paths], "domain")]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["."], ["a.csv", "b.jsonl", "sub/c.json", "sub/deep/d.md"]),
        (["sub/../b.jsonl", "."], ["b.jsonl", "a.csv", "sub/c.json", "sub/deep/d.md"]),
        (["*.jsonl", "b.jsonl"], ["b.jsonl"]),
        (["**/*.json"], ["sub/c.json"]),
        (["**/[cd].*"], ["sub/c.json", "sub/deep/d.md"]),
        (["sub/**"], ["sub/c.json", "sub/deep/d.md"]),
        (["s?b/*"], ["sub/c.json", "sub/deep/d.md"]),
        ([".hidden.json"], [".hidden.json"]),
        ([".h*"], [".hidden.json"]),
    ],
)
def test_paths_become_files_in_order(tree: Path, paths: list[str], expected: list[str]) -> None:
    assert _names(tree, *paths) == expected


def test_a_file_whose_name_looks_like_a_glob(tmp_path: Path) -> None:
    (tmp_path / "data[1].json").write_text("x")
    assert _names(tmp_path, "data[1].json") == ["data[1].json"]


def test_only_a_file_given_by_name_is_named(tree: Path) -> None:
    sources = find_sources([str(tree / "a.csv"), str(tree / "*.jsonl"), str(tree / "sub")], "open")
    assert [(source.path.name, source.named) for source in sources] == [
        ("a.csv", True),
        ("b.jsonl", False),
        ("c.json", False),
        ("d.md", False),
    ]


@pytest.mark.parametrize("pattern", [".", "**/*.json", "**"])
def test_loops_of_links_end(tree: Path, pattern: str) -> None:
    (tree / "sub" / "up").symlink_to(tree)
    (tree / "sub" / "here").symlink_to(tree / "sub")
    (tree / "gone.json").symlink_to(tree / "nowhere")
    (tree / "round.json").symlink_to(tree / "round.json")
    names = _names(tree, pattern)
    assert "sub/c.json" in names
    assert len(names) == len({Path(tree, name).resolve() for name in names})


def test_a_link_keeps_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "3f9a").write_text("x")
    (tmp_path / "qa.jsonl").symlink_to(tmp_path / "3f9a")
    assert _names(tmp_path, "qa.jsonl") == ["qa.jsonl"]


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("sub/nope.json", "paths are relative to the recipe's folder; the nearest folder there is: {tree}/sub"),
        ("no/such/file", "paths are relative to the recipe's folder; the nearest folder there is: {tree}"),
        ("*.parquet", "paths are relative to the recipe's folder; the nearest folder there is: {tree}"),
        ("void", "the folder holds no files (hidden ones do not count)"),
    ],
)
def test_a_path_without_files_is_named(tree: Path, path: str, hint: str) -> None:
    (tree / "void").mkdir()
    with pytest.raises(DataError) as caught:
        find_sources([str(tree / "a.csv"), str(tree / path)], "test")
    assert caught.value.what == "data.test: this path matches no file"
    assert caught.value.where == str(tree / path)
    assert caught.value.hint == hint.format(tree=tree)


@pytest.mark.parametrize("path", ["x" * 5000, "a\0b"])
def test_an_impossible_path_is_the_users_mistake(tmp_path: Path, path: str) -> None:
    with pytest.raises(DataError, match=r"data\.open"):
        find_sources([str(tmp_path / path)], "open")
