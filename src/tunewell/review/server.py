"""A review from its beginning to its end: the page is served until the reviewer stops it."""

import errno
import secrets
import socket
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from tunewell.errors import MachineError
from tunewell.review.desk import Desk
from tunewell.review.figures import error_rate, sentences, status
from tunewell.review.rows import Rows, read_rows, sampled
from tunewell.review.sources import Sources
from tunewell.review.words import read_words
from tunewell.store import DecisionLog, ReviewFolder, read_judgements
from tunewell.text import visible

_HOST = "127.0.0.1"
_NEEDS = "pip install 'tunewell[review]'"


class Places(NamedTuple):
    """The folders that a review reads, those of the stages `generate` and `collect`, and the one it writes, `review`."""

    generate: Path
    collect: Path
    review: Path


class Sample(NamedTuple):
    """How many rows are drawn at random, and by which seed."""

    size: int
    seed: int


def state_of_review(places: Places, sample: Sample | None = None) -> dict[str, Any]:
    """The state of a review as JSON values, as `figures.status` gives it.

    Raises `DataError` where there are no generated rows, or a file of decisions cannot be read.
    """
    return status(_rows(places, sample), read_judgements(places.review))


def summary_of_review(places: Places, sample: Sample | None = None, *, language: str) -> list[str]:
    """The state of a review in sentences. Raises as `state_of_review`."""
    return sentences(state_of_review(places, sample), read_words(language))


def best_known(places: Places, samples: Iterable[Sample]) -> dict[str, Any] | None:
    """The error rate of that sample of which the most rows are judged, None where none is: `ErrorRate`, `size` and `seed`."""
    rows, judgements = read_rows(places.generate), read_judgements(places.review)
    known = [
        {**asdict(error_rate(judgements, sampled(rows, *sample).ids, rows.population)), **sample._asdict()} for sample in samples
    ]
    best = max(known, key=lambda rate: rate["n"], default=None)
    return best if best and best["n"] else None


def review(
    places: Places, reviewer: str, sample: Sample | None = None, *, port: int, language: str, ready: Callable[[str], None]
) -> None:
    """Serve the page of one reviewer on this machine until the process is interrupted; `ready` is given its address.

    Port 0 takes a free one. Raises `MachineError` where the packages of the page are missing, the port is taken or the reviewer's
    file is in use, `DataError` where there is nothing to review, and `UserError` for a name that no reviewer can have.
    """
    try:
        import uvicorn

        from tunewell.review.app import Door, make_app
    except ImportError as error:
        raise MachineError("`review` needs the packages starlette and uvicorn", hint=_NEEDS) from error
    rows = _rows(places, sample)
    sources = Sources(places.generate / "chunks", places.collect / "examples")
    with DecisionLog(places.review, reviewer) as log, _listening(port) as listener:
        address = f"{_HOST}:{listener.getsockname()[1]}"
        door = Door(path=f"/{secrets.token_hex(6)}", token=secrets.token_urlsafe(24))
        desk = Desk(rows, sources, log, ReviewFolder(places.review), read_words(language))
        app = make_app(desk, door, visible(places.review.resolve().parent.name))
        config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", ws="none", server_header=False)
        ready(f"http://{address}{door.path}/?token={door.token}")
        uvicorn.Server(config).run(sockets=[listener])


def _rows(places: Places, sample: Sample | None) -> Rows:
    rows = read_rows(places.generate)
    return rows if sample is None else sampled(rows, sample.size, sample.seed)


def _listening(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        what = "this port is taken" if error.errno == errno.EADDRINUSE else f"cannot listen here: {error.strerror}"
        raise MachineError(what, where=f"{_HOST}:{port}", hint="leave `--port` out to take a free one") from None
    return listener
