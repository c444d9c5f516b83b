"""What every test of a sweep does without: worker processes for a handful of rows, and giving memory back after each stage."""

import pytest

from tunewell import pipeline
from tunewell.engine import LocalEngine
from tunewell.evaluate import stage as evaluation


@pytest.fixture(autouse=True)
def _little_ado(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "choose_engine", lambda name: LocalEngine(workers=1))
    for module in (pipeline, evaluation):  # to collect the garbage of a test process takes seconds
        monkeypatch.setattr(module, "release_memory", lambda: None)
