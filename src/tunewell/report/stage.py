"""The stage `report`: read what the run left, write `report.html` and `report.md`."""

from collections.abc import Mapping
from pathlib import Path

from tunewell.recipe import Recipe
from tunewell.records import Summary
from tunewell.report.facts import read_facts
from tunewell.report.markdown import render_markdown
from tunewell.report.page import render_page
from tunewell.report.words import read_words
from tunewell.store import atomic_write


def run(settings: Recipe, inputs: Mapping[str, Path], out_dir: Path) -> Summary:
    """Write the report of a finished run.

    Args:
        settings: a recipe's part `report`.
        inputs: `run` (the run folder with recipe.yaml and run.json) and the folders of the stages, by name.
        out_dir: gets `report.html`, one file that needs no network, and `report.md`, the same facts, short.

    Raises:
        DataError: a file that a stage should have left is missing or broken.
    """
    facts = read_facts(inputs)
    words = read_words(settings.report.language)
    title = settings.report.title or facts.run_name
    page = render_page(facts, words, title=title)
    _write(out_dir / "report.html", page)
    _write(out_dir / "report.md", render_markdown(facts, words, title=title))
    return Summary({"bytes": len(_encoded(page))})


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_bytes(_encoded(text))


def _encoded(text: str) -> bytes:
    # Data can hold lone surrogates, which UTF-8 cannot.
    return text.encode("utf-8", "replace")
