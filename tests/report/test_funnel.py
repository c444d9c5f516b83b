from pathlib import Path

from tests.report.fixture_run import build_run
from tunewell.report.facts import read_facts
from tunewell.report.funnel import funnel_steps
from tunewell.report.words import read_words


def test_every_bar_starts_where_the_one_before_left_off(tmp_path: Path) -> None:
    steps = funnel_steps(read_facts(build_run(tmp_path)), read_words("en"))
    assert [(step.label, step.rows) for step in steps if step.kind == "stage"] == [
        ("Read from files", 365),
        ("Given to cleaning", 452),
        ("Kept", 388),
        ("Mixed", 320),
        ("Trained on", 318),
    ]
    standing = steps[0].rows
    for step in steps[1:]:
        assert step.end - step.start == step.rows
        if step.kind == "stage":
            assert (step.start, step.end) == (0, standing)
        elif step.kind == "dropped":
            assert step.end == standing
            standing = step.start
        else:
            assert step.start == standing
            standing = step.end


def test_rules_that_dropped_nothing_are_left_out(tmp_path: Path) -> None:
    labels = [step.label for step in funnel_steps(read_facts(build_run(tmp_path)), read_words("en"))]
    assert "Empty" not in labels
    assert "Duplicate" in labels
