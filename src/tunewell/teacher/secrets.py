"""The key to a server: read from the environment, and kept out of everything that is written or shown."""

import os
from collections.abc import Callable
from urllib.parse import urlsplit

from tunewell.errors import TeacherError

_ON_THIS_MACHINE = {"localhost", "127.0.0.1", "::1", "0.0.0.0"}  # noqa: S104  recognised, not listened on
_SHORTEST_SECRET = 6


def is_on_this_machine(server: str) -> bool:
    """Whether the address of a server is one of this machine's own. Raises `TeacherError` where it is no address."""
    try:
        parts = urlsplit(server)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        host, problem = None, f": {error}"
    else:
        problem = ": it names no host"
    if not host:
        hint = "it looks like http://127.0.0.1:8000/v1 or http://[::1]:8000/v1"
        raise TeacherError(f"{server} is no address of a server{problem}", where="teacher.server", hint=hint)
    return host in _ON_THIS_MACHINE


def read_key(variable: str, server: str) -> str:
    """The key in this environment variable; a server on this machine needs none. Raises `TeacherError`."""
    key = os.environ.get(variable, "").strip()
    if key and not (key.isascii() and key.isprintable()):
        what = f"the environment variable {variable} holds signs that no key has, such as typographic quotes or a line break"
        raise TeacherError(what, where="teacher.key", hint=f"export {variable}=… again, copied from the provider")
    if is_on_this_machine(server) or key:
        return key or "none"
    what = f"the environment variable {variable} holds no key for {server}"
    raise TeacherError(what, where="teacher.key", hint=f"export {variable}=…, or name another variable in teacher.key")


def hider(key: str) -> Callable[[str], str]:
    """A function that replaces the key in a text by `***`."""
    return lambda text: text.replace(key, "***") if len(key) >= _SHORTEST_SECRET else text
