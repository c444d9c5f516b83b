"""Stage 1: read files of many formats into examples and documents, each with its exact place in a file."""

from tunewell.collect.doctor import Finding, check
from tunewell.collect.inspection import Inspection, conversations, inspect_file
from tunewell.collect.stage import data_files, run

__all__ = ["Finding", "Inspection", "check", "conversations", "data_files", "inspect_file", "run"]
