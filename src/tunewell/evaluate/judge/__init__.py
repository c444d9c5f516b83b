"""Judges: models behind a server that score answers against the reference or compare two, and what is known of such judges."""

from tunewell.evaluate.judge.cautions import in_words
from tunewell.evaluate.judge.findings import Findings, judge_answers
from tunewell.evaluate.judge.health import Terms
from tunewell.evaluate.judge.rubrics import conversation
from tunewell.evaluate.judge.run import Item, Mode

__all__ = ["Findings", "Item", "Mode", "Terms", "conversation", "in_words", "judge_answers"]
