"""The key to a server: read from the environment, and kept out of everything that is written or shown."""

import os
from collections.abc import Callable
from urllib.parse import urlsplit

from tunewell.errors import TeacherError

_ON_THIS_MACHINE = {"localhost", "127.0.0.1", "::1", "0.0.0.0"}  # noqa: S104  recognised, not listened on
_SHORTEST_SECRET = 6


def read_key(variable: str, server: str) -> str:
    """The key in this environment variable; a server on this machine needs none. Raises `TeacherError`."""
    key = os.environ.get(variable, "").strip()
    if key or urlsplit(server).hostname in _ON_THIS_MACHINE:
        return key or "none"
    what = f"the environment variable {variable} holds no key for {server}"
    raise TeacherError(what, where="teacher.key", hint=f"export {variable}=…, or name another variable in teacher.key")


def hider(key: str) -> Callable[[str], str]:
    """A function that replaces the key in a text by `***`."""
    return lambda text: text.replace(key, "***") if len(key) >= _SHORTEST_SECRET else text
