"""What every engine can do, and the choice between them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Protocol, TypeVar

from tunewell.engine.local import LOCAL

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

EngineName = Literal["local", "ray"]


class Engine(Protocol):
    """Calls a function for every item of a list."""

    def map(self, function: Callable[[_Item], _Result], items: Sequence[_Item], *, name: str) -> Iterator[_Result]:
        """The function's result for each item, in the order of the items; `name` labels the progress bar.

        Function, items and results are pickled on their way. The function may be called again for an item whose worker died,
        so whatever it writes must hang on the item alone. What it raises is raised here.
        """
        ...


def choose_engine(name: EngineName) -> Engine:
    """The engine of this name. Raises `MachineError` where its packages are missing."""
    if name == "local":
        return LOCAL
    from tunewell.engine.ray import RayEngine

    return RayEngine()
