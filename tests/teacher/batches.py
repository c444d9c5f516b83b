"""The provider's batch files, as OpenAI has them: upload, create, poll, download, cancel."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tests.teacher.faults import Plan, Response, error, reply
from tests.teacher.http import HttpRequest, read_multipart

_ENDPOINT = "/v1/chat/completions"
_CREATED = 1_700_000_000
_LIFE: Mapping[str, tuple[str, ...]] = {
    "completed": ("validating", "in_progress", "finalizing", "completed"),
    "expired": ("validating", "in_progress", "expired"),
    "failed": ("validating", "failed"),
    "cancelled": ("cancelling", "cancelled"),
}

Complete = Callable[[Mapping[str, Any], str], Response]
"""From the body of a request and the key it is billed under to the response."""


@dataclass
class Batch:
    """A batch; `polls` counts how often it was asked for."""

    id: str
    input_file: str
    values: dict[str, Any]
    ends: str
    polls: int = 0
    files: dict[str, str] = field(default_factory=dict)
    errors: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: {"total": 0, "completed": 0, "failed": 0})


class Batches:
    """Files and batches of one server. `complete` makes the completion of a line."""

    def __init__(self, plan: Plan, complete: Complete) -> None:
        self._plan = plan
        self._complete = complete
        self._files: dict[str, tuple[dict[str, Any], bytes]] = {}
        self._batches: dict[str, Batch] = {}
        self._numbers = count(1)

    def respond(self, request: HttpRequest) -> Response:
        """Answer a request to `/v1/files…` or `/v1/batches…`."""
        match (request.method, *request.path.split("/")[2:]):
            case ("POST", "files"):
                form = read_multipart(request)
                return reply(self._store(form["file"], form["purpose"].decode()))
            case ("GET", "files", name) if name in self._files:
                return reply(self._files[name][0])
            case ("GET", "files", name, "content") if name in self._files:
                return Response(200, self._files[name][1], (("content-type", "application/octet-stream"),))
            case ("POST", "batches"):
                return self._create(json.loads(request.body))
            case ("GET", "batches"):
                return reply(
                    {"object": "list", "data": [self._state(batch) for batch in self._batches.values()], "has_more": False}
                )
            case ("GET", "batches", name) if name in self._batches:
                return reply(self._poll(self._batches[name]))
            case ("POST", "batches", name, "cancel") if name in self._batches:
                return reply(self._cancel(self._batches[name]))
        return error(404, f"No such object: {request.path}", code="not_found")

    def _store(self, content: bytes, purpose: str) -> dict[str, Any]:
        name = f"file-{next(self._numbers)}"
        about = {"id": name, "object": "file", "bytes": len(content), "created_at": _CREATED, "filename": f"{name}.jsonl"}
        about |= {"purpose": purpose, "status": "processed"}
        self._files[name] = about, content
        return about

    def _create(self, values: dict[str, Any]) -> Response:
        if values.get("endpoint") != _ENDPOINT or values.get("input_file_id") not in self._files:
            return error(400, "No such endpoint or input file.", code="invalid_value")
        batch = Batch(f"batch_{next(self._numbers)}", values["input_file_id"], values, self._plan.batch_ends)
        batch.errors = self._mistakes(batch)
        if batch.errors:
            batch.ends = "failed"
        self._batches[batch.id] = batch
        return reply(self._state(batch))

    def _mistakes(self, batch: Batch) -> list[dict[str, Any]]:
        lines = self._lines(batch)
        repeated = len({line["custom_id"] for line in lines}) < len(lines)
        elsewhere = any(line["url"] != _ENDPOINT or line["method"] != "POST" for line in lines)
        codes = {"duplicate_custom_id": repeated, "invalid_url": elsewhere, "empty_file": not lines}
        return [{"code": code, "line": None, "message": code, "param": None} for code, is_wrong in codes.items() if is_wrong]

    def _poll(self, batch: Batch) -> dict[str, Any]:
        batch.polls += 1
        if self._status(batch) == batch.ends and batch.ends != "failed" and not batch.files:
            self._finish(batch)
        return self._state(batch)

    def _cancel(self, batch: Batch) -> dict[str, Any]:
        if not batch.files and batch.ends != "failed":
            batch.ends, batch.polls = "cancelled", 0
        return self._state(batch)

    def _finish(self, batch: Batch) -> None:
        """Make the completions of a completed batch, of an expired one the first half, of a cancelled one none.

        Results come in another order than the requests.
        """
        lines = self._lines(batch)
        done = {"completed": len(lines), "expired": len(lines) // 2}.get(batch.ends, 0)
        results = [self._result(line) for line in lines[:done]]
        code = f"batch_{batch.ends}"
        left = [_line(line, None, {"code": code, "message": f"This request was not done: {code}."}) for line in lines[done:]]
        good = [result for result in results if result["response"]["status_code"] == 200]
        bad = [result for result in results if result["response"]["status_code"] != 200] + left
        batch.counts = {"total": len(lines), "completed": len(good), "failed": len(bad)}
        for name, rows in (("output_file_id", good), ("error_file_id", bad)):
            if rows:
                content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in reversed(rows))
                batch.files[name] = self._store(content.encode(), "batch_output")["id"]

    def _result(self, line: Mapping[str, Any]) -> dict[str, Any]:
        response = self._complete(line["body"], f"batch:{line['custom_id']}")
        body = json.loads(response.body)
        return _line(line, {"status_code": response.status, "request_id": "req_1", "body": body}, None)

    def _lines(self, batch: Batch) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._files[batch.input_file][1].decode().splitlines() if line.strip()]

    def _status(self, batch: Batch) -> str:
        steps = _LIFE[batch.ends]
        return steps[-1] if batch.polls >= self._plan.batch_polls else steps[min(batch.polls, len(steps) - 2)]

    def _state(self, batch: Batch) -> dict[str, Any]:
        files = {"output_file_id": None, "error_file_id": None} | batch.files
        errors = {"object": "list", "data": batch.errors} if batch.errors else None
        fixed = {"id": batch.id, "object": "batch", "created_at": _CREATED, "errors": errors, "request_counts": batch.counts}
        return batch.values | fixed | {"status": self._status(batch)} | files


def _line(line: Mapping[str, Any], response: Any, problem: Any) -> dict[str, Any]:
    return {"id": f"batch_req_{line['custom_id']}", "custom_id": line["custom_id"], "response": response, "error": problem}
