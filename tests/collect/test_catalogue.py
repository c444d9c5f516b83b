"""Catalogues in LLaMA-Factory's form: their data sets, and the names of their keys."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewell.collect.catalogue import KeyNames, Rename, read_catalogue, rename
from tunewell.errors import DataError

_CHAT_TAGS = {
    "role_tag": "who",
    "content_tag": "said",
    "user_tag": "customer",
    "assistant_tag": "agent",
    "observation_tag": "tool",
    "function_tag": "call",
    "system_tag": "setup",
}


def _catalogue(folder: Path, **entries: Any) -> Path:
    for entry in entries.values():
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if isinstance(name, str) and "gone" not in name:
            (folder / name).write_text("[]")
    path = folder / "dataset_info.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


def _names(folder: Path, **entry: Any) -> KeyNames | None:
    catalogue = read_catalogue(_catalogue(folder, one={"file_name": "one.json", **entry}))
    assert catalogue is not None
    return catalogue.entries[0].names


def test_entries_in_their_order_and_what_is_left_out(tmp_path: Path) -> None:
    path = _catalogue(
        tmp_path,
        pairs={"file_name": "pairs.json"},
        hub={"hf_hub_url": "someone/something"},
        both={"hf_hub_url": "someone/something", "file_name": "both.json"},
        script={"script_url": "make.py"},
        cloud={"cloud_file_name": "s3://there"},
        choice={"file_name": "choice.json", "ranking": True},
        seen={"file_name": "seen.json", "formatting": "sharegpt", "columns": {"messages": "m", "images": "i"}},
        rated={"file_name": "rated.json", "columns": {"prompt": "p", "response": "r", "kto_tag": "good"}},
        plain={"file_name": "plain.txt", "columns": {"prompt": "text"}},
        again={"file_name": "pairs.json", "columns": {"prompt": "a", "response": "b"}},
        empty={},
    )
    catalogue = read_catalogue(path)
    assert catalogue is not None
    assert [(entry.name, entry.path, entry.names) for entry in catalogue.entries] == [
        ("pairs", tmp_path / "pairs.json", None),
        ("both", tmp_path / "both.json", None),
    ]
    assert [(left_out.name, left_out.path and left_out.path.name, left_out.why) for left_out in catalogue.left_out] == [
        ("hub", None, "it lies on a hub: download it, and give the entry a file_name"),
        ("script", None, "a script of its own makes it"),
        ("cloud", None, "it lies in cloud storage"),
        ("choice", "choice.json", "its rows hold answers to choose from (ranking)"),
        ("seen", "seen.json", "its rows hold images"),
        ("rated", "rated.json", "its answers are rated (kto_tag), and not all good"),
        ("plain", "plain.txt", "it has no column of answers"),
        ("again", "pairs.json", "its file is read already, as pairs"),
        ("empty", None, "it names no file"),
    ]
    assert {left_out.catalogue for left_out in catalogue.left_out} == {str(path)}


@pytest.mark.parametrize(
    ("name", "content", "is_catalogue"),
    [
        ("sets.json", '{"a": {"hf_hub_url": "x/y"}}', True),
        ("sets.json", '\ufeff {"a": {"hf_hub_url": "x/y"}}', True),
        ("sets.json", '{"a": {"hf_hub_url": "x/y"}, "b": {}}', False),
        ("dataset_info.json", '{"a": {"hf_hub_url": "x/y"}, "b": {}}', True),
        ("dataset_info.json", '{"builder_name": "json", "features": {"a": {"dtype": "string"}}}', False),
        ("dataset_info.json", '[{"hf_hub_url": "x/y"}]', False),
        ("dataset_info.json", "{}", False),
        ("dataset_info.json", '{"a": ', False),
        ("dataset_info.json", '{"a": ' * 100_000, False),
        ("rows.jsonl", '{"question": "a", "answer": "b"}\n' * 2, False),
        ("rows.jsonl", "\udcff\udcfe", False),
    ],
)
def test_a_catalogue_is_known_by_its_content(tmp_path: Path, name: str, content: str, is_catalogue: bool) -> None:
    (tmp_path / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    assert (read_catalogue(tmp_path / name) is not None) is is_catalogue


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ({"file_name": "gone.json"}, "its file gone.json does not exist"),
        ({"file_name": "gone\0.json"}, "its file gone?.json does not exist"),
        ({"file_name": 3}, "`file_name` is not text"),
        ({"file_name": "a.json", "columns": ["prompt"]}, "`columns` is not an object of texts"),
        ({"file_name": "a.json", "formatting": "sharegpt", "tags": {"role_tag": 1}}, "`tags` is not an object of texts"),
        ({"file_name": "a.json", "formatting": "chatml"}, '`formatting` is "chatml" where alpaca or sharegpt is expected'),
        ({"file_name": "a.json", "formatting": []}, "`formatting` is [] where alpaca or sharegpt is expected"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, entry: dict[str, Any], what: str) -> None:
    path = _catalogue(tmp_path, first={"file_name": "first.json"}, second=entry)
    with pytest.raises(DataError) as caught:
        read_catalogue(path)
    assert (caught.value.what, caught.value.where) == (what, f"{path}: second")
    assert caught.value.hint == "mend the entry, or take it out of the catalogue"


def test_only_the_named_columns_are_read(tmp_path: Path) -> None:
    names = _names(tmp_path, columns={"prompt": "input", "response": "target", "history": "before", "query": None})
    assert names == KeyNames(keys=(Rename("input", "instruction"), Rename("target", "output"), Rename("before", "history")))
    row = {"input": "q", "target": "a", "messages": [], "instruction": "another", "topic": "fees"}
    assert rename(row, names) == {"instruction": "q", "output": "a", "topic": "fees"}


def test_turns_and_roles_are_renamed(tmp_path: Path) -> None:
    names = _names(tmp_path, formatting="sharegpt", columns={"messages": "chat", "system": "setup"}, tags=_CHAT_TAGS)
    assert names is not None
    speakers = ["setup", "customer", "agent", "call", "tool", "stranger"]
    row = {"chat": [{"who": who, "said": who.upper()} for who in speakers], "setup": "be kind"}
    roles = ["system", "user", "assistant", "function_call", "observation", "stranger"]
    turns = [{"from": role, "value": who.upper()} for role, who in zip(roles, speakers, strict=True)]
    assert rename(row, names) == {"conversations": turns, "system": "be kind"}


def test_tags_alone_rename_the_usual_column(tmp_path: Path) -> None:
    names = _names(tmp_path, formatting="sharegpt", tags={"user_tag": "me"})
    assert names is not None
    assert rename({"conversations": [{"from": "me", "value": "hi"}], "id": 1}, names) == {
        "conversations": [{"from": "user", "value": "hi"}],
        "id": 1,
    }


def test_the_usual_messages_column_need_not_be_named(tmp_path: Path) -> None:
    names = _names(tmp_path, formatting="sharegpt", columns={"tools": "tools"})
    assert names is not None
    assert rename({"conversations": [1], "tools": "[]", "system": "s"}, names) == {"conversations": [1], "tools": "[]"}


@pytest.mark.parametrize("entry", [{}, {"formatting": "sharegpt"}, {"formatting": "alpaca", "tags": {"role_tag": "x"}}])
def test_nothing_to_rename(tmp_path: Path, entry: dict[str, Any]) -> None:
    assert _names(tmp_path, **entry) is None


_VALUES = st.recursive(st.none() | st.booleans() | st.text(max_size=4), lambda inner: st.lists(inner, max_size=3))
_ROWS = st.dictionaries(
    st.sampled_from(["conversations", "chat", "a", "topic", "from"]), _VALUES | st.dictionaries(st.text(), _VALUES)
)


@given(_ROWS)
def test_renaming_takes_any_row_and_leaves_it_as_it_was(row: dict[str, Any]) -> None:
    names = KeyNames((Rename("chat", "conversations"),), (Rename("who", "from"),), (Rename("a", "user"),))
    before = json.dumps(row)
    assert set(rename(row, names)) == {"conversations"} & ({"conversations"} if "chat" in row else set()) | {"topic"} & set(row)
    assert json.dumps(row) == before
