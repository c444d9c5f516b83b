"""Mixing: training rows in the ratio asked, test items, and an audit of what was asked and reached."""

from tunewell.mix.stage import run

__all__ = ["run"]
