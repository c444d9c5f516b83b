"""What a model's tokens cost."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tunewell.bundled import read_yaml
from tunewell.errors import TeacherError
from tunewell.recipe import Teacher

_MILLION = 1e6


class Price(NamedTuple):
    """The price of a token of the prompt and of the answer, and its currency."""

    input: float
    output: float
    currency: str

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """What so many tokens cost.

        >>> round(Price(0.15e-6, 0.6e-6, "USD").of(1000, 500), 6)
        0.00045
        """
        return prompt_tokens * self.input + completion_tokens * self.output


def price_of(teacher: Teacher) -> Price | None:
    """The price by the recipe, else by the price table, else None.

    A dated or prefixed name (`gpt-4o-mini-2024-07-18`, `openai/gpt-4o-mini`) has the price of the longest listed name that it
    begins with. Raises `TeacherError` where money is limited and no price is known.
    """
    table = read_yaml("teacher", "prices.yaml")
    entry = teacher.prices.model_dump() if teacher.prices else _listed(teacher.model, table["models"])
    if entry is None:
        if teacher.budget.money:
            what = f"no price is known for the model {teacher.model}, so its cost cannot be limited"
            hint = "set teacher.prices: {input: …, output: …} (a million tokens), or limit teacher.budget.tokens instead"
            raise TeacherError(what, where="teacher.budget.money", hint=hint)
        return None
    factor = table["batch"] if teacher.batch else 1.0
    return Price(entry["input"] * factor / _MILLION, entry["output"] * factor / _MILLION, entry["currency"])


def _listed(model: str, models: Mapping[str, dict[str, Any]]) -> dict[str, Any] | None:
    name = model.rsplit("/", 1)[-1]
    dated = [listed for listed in models if name == listed or name.startswith(f"{listed}-20")]
    return models[max(dated, key=len)] if dated else None
