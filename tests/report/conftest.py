"""One run and its report, made once for all tests that only read them."""

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.report.fixture_run import build_run
from tests.report.page_reader import Page, read_page
from tunewell.recipe import Recipe
from tunewell.report import run


class Reported(NamedTuple):
    """A run, its report, and what the stage counted."""

    inputs: dict[str, Path]
    folder: Path
    page: Page
    counts: dict[str, int]


def report_on(inputs: dict[str, Path], folder: Path, *, title: str = "", language: str = "en") -> Reported:
    """Write the report of a run and read it back."""
    settings = Recipe.model_validate({"report": {"title": title, "language": language}}).part("report")
    summary = run(settings, inputs, folder)
    return Reported(inputs, folder, read_page(folder / "report.html"), dict(summary.counts))


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    folder = tmp_path_factory.mktemp("support")
    return report_on(build_run(folder), folder / "8-report")


@pytest.fixture(scope="session")
def reported_zh(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    folder = tmp_path_factory.mktemp("support_zh")
    return report_on(build_run(folder), folder / "8-report", title="商户支持助手", language="zh")
