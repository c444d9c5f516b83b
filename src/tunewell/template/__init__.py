"""The prompt contract: conversations as the base model's own tokens, and which of them are trained."""

from tunewell.template.chat import ChatFormat, Encoded

__all__ = ["ChatFormat", "Encoded"]
