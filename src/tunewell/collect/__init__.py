"""Stage 1: read files of many formats into examples and documents, each with its exact place in a file."""

from tunewell.collect.doctor import Finding, check
from tunewell.collect.inspection import Inspection, inspect_file
from tunewell.collect.stage import run

__all__ = ["Finding", "Inspection", "check", "inspect_file", "run"]
