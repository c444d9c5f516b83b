"""The report: one offline HTML file that answers the question the run was made for, and the same facts in Markdown."""

from tunewell.report.exchanges import Exchange, exchanges
from tunewell.report.explain import Life, life
from tunewell.report.stage import run

__all__ = ["Exchange", "Life", "exchanges", "life", "run"]
