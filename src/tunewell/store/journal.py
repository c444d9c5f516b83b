"""An append-only file of finished work, from which an interrupted stage goes on."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class Journal:
    """JSON Lines of `{"key": …, "value": …}`, one for each finished piece of work.

    Each record is flushed to disk before `record` returns. A last line cut off by a crash is removed when the journal is
    opened again; its piece of work is simply done once more.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[str, Any] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self._recover()
        self._handle = path.open("ab")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._handle.close()

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __getitem__(self, key: str) -> Any:
        return self._entries[key]

    def __len__(self) -> int:
        return len(self._entries)

    def record(self, entries: Mapping[str, Any]) -> None:
        """Add finished pieces of work, all of them safely on disk when this returns."""
        lines = [json.dumps({"key": key, "value": value}, ensure_ascii=False) for key, value in entries.items()]
        self._handle.write("".join(line + "\n" for line in lines).encode("utf-8", "surrogatepass"))
        self._handle.flush()
        os.fsync(self._handle.fileno())
        self._entries.update(entries)

    def _recover(self) -> None:
        whole = 0
        with self._path.open("rb") as handle:
            for line in handle:
                if not line.endswith(b"\n"):
                    break
                entry = json.loads(line)
                self._entries[entry["key"]] = entry["value"]
                whole += len(line)
        os.truncate(self._path, whole)
