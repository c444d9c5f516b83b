"""Files, folders and globs."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tunewell.collect.catalogue import KeyNames, Rename
from tunewell.collect.sources import Source, Use, look_up
from tunewell.errors import DataError


def find_sources(paths: list[str], use: Use) -> list[Source]:
    return look_up(paths, use).sources


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


_NAMES = KeyNames(keys=(Rename("q", "instruction"), Rename("a", "output")))


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    columns = {"prompt": "q", "response": "a"}
    entries = {
        "here": {"file_name": "here.json", "columns": columns},
        "hub": {"hf_hub_url": "someone/something"},
        "folder": {"file_name": "more", "columns": columns},
        "choice": {"file_name": "choice.json", "ranking": True},
        "void": {"file_name": "void"},
    }
    for name in ("a.json", "choice.json", "here.json", "more/1.json", "more/2.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("[]")
    (tmp_path / "void").mkdir()
    path = tmp_path / "dataset_info.json"
    path.write_text(json.dumps(entries))
    return path


def test_a_catalogue_stands_for_its_data_sets(catalogue: Path) -> None:
    found = look_up([str(catalogue)], "open")
    assert [(source.path.name, source.named, source.names) for source in found.sources] == [
        ("here.json", True, _NAMES),
        ("1.json", False, _NAMES),
        ("2.json", False, _NAMES),
    ]
    assert [(left_out.name, left_out.why) for left_out in found.left_out] == [
        ("hub", "it lies on a hub: download it, and give the entry a file_name"),
        ("choice", "its rows hold answers to choose from (ranking)"),
        ("void", "its folder holds no files"),
    ]
    assert find_sources([str(catalogue)], "open") == found.sources


@pytest.mark.parametrize("path", [".", "*"])
def test_a_catalogue_in_a_folder_describes_the_files_beside_it(catalogue: Path, path: str) -> None:
    found = look_up([str(catalogue.parent / path)], "open")
    assert [(source.path.name, source.names) for source in found.sources] == [
        ("a.json", None),
        ("here.json", _NAMES),
        ("1.json", _NAMES),
        ("2.json", _NAMES),
    ]
    assert [left_out.name for left_out in found.left_out] == ["hub", "choice", "void"]


def test_a_file_that_a_catalogue_rules_out_may_be_named_itself(catalogue: Path) -> None:
    paths = [str(catalogue), str(catalogue.parent / "choice.json")]
    assert [source.path.name for source in find_sources(paths, "open")] == ["here.json", "1.json", "2.json", "choice.json"]


def test_a_catalogue_of_another_name_counts_when_it_is_named(tmp_path: Path, catalogue: Path) -> None:
    other = catalogue.rename(tmp_path / "sets.json")
    assert [source.path.name for source in find_sources([str(other)], "open")] == ["here.json", "1.json", "2.json"]
    assert "sets.json" in _names(tmp_path, ".")


def test_a_catalogue_without_a_file_says_why(tmp_path: Path) -> None:
    path = tmp_path / "dataset_info.json"
    path.write_text('{"one": {"hf_hub_url": "x/y"}}')
    with pytest.raises(DataError) as caught:
        find_sources([str(path)], "open")
    assert (caught.value.what, caught.value.where) == ("data.open: no data set in this catalogue can be read", str(path))
    assert caught.value.hint == "one: it lies on a hub: download it, and give the entry a file_name"


def test_a_folder_that_cannot_be_read_is_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = os.scandir

    def refuse(path: Any) -> Iterator[os.DirEntry[str]]:
        if os.fspath(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError) as caught:
        find_sources([str(tree)], "open")
    assert (caught.value.what, caught.value.where) == ("data.open: Permission denied", str(tree / "sub" / "deep"))
    assert caught.value.hint == "change its permissions, or leave it out"


def test_names_need_not_be_text(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    (tmp_path / os.fsdecode(b"caf\xe9") / "x.json").write_text("x")
    (source,) = find_sources([str(tmp_path)], "open")
    assert source.path.read_text() == "x"
    assert source.name == str(tmp_path / "caf?" / "x.json")
    with pytest.raises(DataError) as caught:
        find_sources([str(tmp_path / os.fsdecode(b"gone\xe9"))], "open")
    assert caught.value.where == str(tmp_path / "gone?")


def test_many_small_files_are_listed_at_once(tmp_path: Path) -> None:
    for number in range(10_000):
        (tmp_path / f"{number}.json").touch()
    start = time.perf_counter()
    assert len(find_sources([str(tmp_path)], "open")) == 10_000
    assert time.perf_counter() - start < 2
