"""What happens with a finished run: so far, talking to it."""

from tunewell.deploy.chat import chat_side_by_side

__all__ = ["chat_side_by_side"]
