"""Whether a prompt format keeps its promises: with its tokenizer, and against a running server."""

from tunewell.template.verify.checks import Finding, verify
from tunewell.template.verify.server import ServerReport, verify_server

__all__ = ["Finding", "ServerReport", "verify", "verify_server"]
