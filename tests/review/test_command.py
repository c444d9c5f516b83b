"""The command beside the page: what it leaves when the review ends."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tunewell.cli.app import app
from tunewell.review import Places, Sample, state_of_review
from tunewell.review.rows import read_rows, sampled
from tunewell.store import DecisionLog, Judgement, read_examples


def _judge_sample(run: Path, size: int, wrong: int) -> None:
    places = Places(run / "2-generate", run / "1-collect", run / "review")
    rows = sampled(read_rows(places.generate), size, 0).ids
    with DecisionLog(run / "review", "ann") as log:
        for number, row in enumerate(rows):
            verdict = "reject" if number < wrong else "accept"
            log.record(Judgement(row, verdict, "ann", f"2026-01-01T00:00:{number:02d}.000000+00:00"))  # type: ignore[arg-type]
    assert state_of_review(places, Sample(size, 0))["judged"] == size


def _status(run: Path, *options: str) -> Result:
    done = CliRunner().invoke(app, ["review", str(run), "--status", *options])
    assert done.exit_code == 0, done.output
    return done


def _card(run: Path) -> str:
    return (run / "2-generate" / "README.md").read_text(encoding="utf-8")


def test_a_samples_error_rate_gets_into_the_data_card(run_folder: Path) -> None:
    rows = len(list(read_examples(run_folder / "2-generate" / "examples")))
    _judge_sample(run_folder, rows, wrong=6)
    done = _status(run_folder, "--sample", str(rows), "--json")
    rate = json.loads(done.stdout.splitlines()[-1])["error_rate"]
    assert (rate["wrong"], rate["n"]) == (6, rows)
    assert rows == 24
    assert "A person reviewed 24 of 24 rows drawn at random: 25.0 % are wrong" in _card(run_folder)
    noted = json.loads((run_folder / "2-generate" / "account.json").read_text(encoding="utf-8"))["review"]
    assert noted == {**rate, "size": 24, "seed": 0}


def test_the_card_tells_of_the_sample_that_says_the_most(run_folder: Path) -> None:
    _judge_sample(run_folder, 20, wrong=0)
    _status(run_folder, "--sample", "20")
    card = _card(run_folder)
    assert "A person reviewed 20 of 24 rows" in card
    for options in (["--sample", "3"], ["--sample", "3", "--seed", "5"], []):
        _status(run_folder, *options)
        assert _card(run_folder) == card, options
    _judge_sample(run_folder, 24, wrong=1)
    _status(run_folder, "--sample", "22", "--seed", "5")
    assert "A person reviewed 22 of 24 rows" in _card(run_folder)


def test_what_is_taken_back_leaves_the_card(run_folder: Path) -> None:
    _judge_sample(run_folder, 20, wrong=2)
    _status(run_folder, "--sample", "20")
    with DecisionLog(run_folder / "review", "ann") as log:
        for number, row in enumerate(list(log.standing)):
            log.record(Judgement(row, "undo", "ann", f"2026-01-02T00:00:{number:02d}.000000+00:00"))
    _status(run_folder)
    assert "No person has reviewed a random sample of these rows yet" in _card(run_folder)


def test_two_reviewers_are_told_on_the_card(run_folder: Path) -> None:
    _judge_sample(run_folder, 24, wrong=6)
    with DecisionLog(run_folder / "review", "bob") as log:
        for number, row in enumerate(read_examples(run_folder / "2-generate" / "examples")):
            log.record(Judgement(row.id, "accept", "bob", f"2026-01-02T00:00:{number:02d}.000000+00:00"))
    _status(run_folder, "--sample", "24")
    assert "2 persons reviewed 24 of 24 rows drawn at random: 12.5 % are wrong, in the mean of their verdicts" in _card(run_folder)


def test_a_card_that_cannot_be_written_is_a_warning(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(path: Path, value: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    _judge_sample(run_folder, 20, wrong=2)
    monkeypatch.setattr("tunewell.generate.stage.write_json", closed)
    done = _status(run_folder, "--sample", "20", "--json")
    account = run_folder / "2-generate" / "account.json"
    assert done.stderr.startswith(f"warning: the data card stays as it was: {account}: permission denied\n\nhint: ")
    assert json.loads(done.stdout)["judged"] == 20


@pytest.mark.parametrize("options", [[], ["--sample", "3"]])
def test_without_a_judged_sample_the_card_stays(run_folder: Path, options: list[str]) -> None:
    _status(run_folder, *options)
    assert not (run_folder / "2-generate" / "README.md").exists()
