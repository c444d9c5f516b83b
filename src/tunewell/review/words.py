"""The page's own words in English and Chinese, from `assets/review/words.yaml`."""

from collections.abc import Mapping
from dataclasses import dataclass

from tunewell.bundled import read_yaml


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one language. Asking for a key that the data file lacks is a bug, and a KeyError."""

    language: str
    table: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """The words under `key`, with `{name}` filled in from `values`."""
        return self.table[key].format(**values)

    def label(self, kind: str, code: str) -> str:
        """The words for a code that other stages chose, such as a task or a reason; the code itself where none are listed.

        >>> Words("en", {"task_qa": "Questions"}).label("task", "qa"), Words("en", {}).label("reason", "no_steps")
        ('Questions', 'no steps')
        """
        return self.table.get(f"{kind}_{code}", code.replace("_", " "))


def read_words(language: str) -> Words:
    """The words of a language, `en` or `zh`."""
    return Words(language, read_yaml("review", "words.yaml")[language])
