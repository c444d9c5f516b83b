"""A teacher in memory that answers by script, for tests of tasks without a server."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from tunewell.store import digest
from tunewell.teacher import Reply, Request

Answers = Mapping[str, Callable[[str], Any]]
"""By the name of the shape asked for: from the text of the user's message to the JSON value of the answer.

The same tables answer on the scripted HTTP server, which knows the shape from the name of the JSON schema.
"""


class ScriptedTeacher:
    """Answers each shape by its script. `asked` counts requests by shape, `prompts` holds every user message."""

    name = "scripted"
    trouble = ""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.asked: Counter[str] = Counter()
        self.prompts: list[str] = []

    async def ask(self, request: Request) -> Reply:
        assert request.shape is not None, "every task asks for a shape"
        shape, text = request.shape.__name__, request.messages[-1].content
        self.asked[shape] += 1
        self.prompts.append(text)
        value = request.shape.model_validate(self._answers[shape](text))
        key = digest([shape, text, request.repeat])
        return Reply(value.model_dump_json(), value, key, digest(text), 100, 20, 0.001, cached=False)
