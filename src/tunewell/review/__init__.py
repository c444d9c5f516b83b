"""Supervision: a page on this machine on which a person accepts, mends or rejects generated rows."""

from tunewell.review.figures import Agreement, ErrorRate, agreement, error_rate
from tunewell.review.server import Places, Sample, best_known, review, state_of_review, summary_of_review

__all__ = [
    "Agreement",
    "ErrorRate",
    "Places",
    "Sample",
    "agreement",
    "best_known",
    "error_rate",
    "review",
    "state_of_review",
    "summary_of_review",
]
