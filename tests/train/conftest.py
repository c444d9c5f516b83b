"""A mixture to train on."""

from pathlib import Path

import pytest

from tests.train.work import refunds, write_mix


@pytest.fixture(scope="session")
def mix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mix(tmp_path_factory.mktemp("mix"), refunds())
