"""What every test of a sweep does without: worker processes for a handful of rows."""

import pytest

from tunewell import pipeline
from tunewell.engine import LocalEngine


@pytest.fixture(autouse=True)
def _one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "choose_engine", lambda name: LocalEngine(workers=1))
