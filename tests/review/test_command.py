"""The command beside the page: what it leaves when the review ends."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tunewell.cli.app import app
from tunewell.review import Places, Sample, state_of_review
from tunewell.store import DecisionLog, Judgement, read_examples


def _judge_sample(run: Path, size: int, wrong: int) -> None:
    places = Places(run / "2-generate", run / "1-collect", run / "review")
    rows = [row.id for row in read_examples(run / "2-generate" / "examples")]
    with DecisionLog(run / "review", "ann") as log:
        for number, row in enumerate(rows):
            verdict = "reject" if number < wrong else "accept"
            log.record(Judgement(row, verdict, "ann", f"2026-01-01T00:00:{number:02d}.000000+00:00"))  # type: ignore[arg-type]
    assert state_of_review(places, Sample(size, 0))["judged"] == size


def test_a_samples_error_rate_gets_into_the_data_card(run_folder: Path) -> None:
    rows = len(list(read_examples(run_folder / "2-generate" / "examples")))
    _judge_sample(run_folder, rows, wrong=6)
    done = CliRunner().invoke(app, ["review", str(run_folder), "--status", "--sample", str(rows), "--json"])
    assert done.exit_code == 0, done.output
    rate = json.loads(done.stdout.splitlines()[-1])["error_rate"]
    assert (rate["wrong"], rate["n"]) == (6, rows)
    card = (run_folder / "2-generate" / "README.md").read_text(encoding="utf-8")
    assert rows == 24
    assert "A person reviewed 24 of 24 rows drawn at random: 25.0 % are wrong" in card


@pytest.mark.parametrize("options", [[], ["--sample", "3"]])
def test_without_a_judged_sample_the_card_stays(run_folder: Path, options: list[str]) -> None:
    done = CliRunner().invoke(app, ["review", str(run_folder), "--status", *options])
    assert done.exit_code == 0, done.output
    assert not (run_folder / "2-generate" / "README.md").exists()
