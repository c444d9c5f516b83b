"""Workers of a Ray cluster, through Ray Data."""

import logging
import os
import pickle
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from tunewell.errors import MachineError, TunewellError
from tunewell.progress import progress_bar

_PATIENCE_SECONDS = 10

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class RayEngine:
    """Each item is one row of a Ray dataset, and the function is mapped over it.

    Joins the cluster that the environment names (`RAY_ADDRESS`), or starts one on this machine. Every node must see the files of
    the run and of the data under the same paths, and have tunewell installed. Items of a node that dies are done again elsewhere.
    """

    def __init__(self) -> None:
        try:
            import ray
            import ray.data
        except ImportError as error:
            hint = "pip install 'tunewell[cluster]', or leave `--engine ray` out"
            raise MachineError("the engine `ray` needs the package ray", hint=hint) from error
        self._ray: Any = ray

    def map(self, function: Callable[[_Item], _Result], items: Sequence[_Item], *, name: str) -> Iterator[_Result]:
        """As `Engine.map`."""
        if not items:
            return
        self._connect()
        data = self._ray.data
        _settle(data.DataContext.get_current())
        rows = [{"item": pickle.dumps(item)} for item in items]
        dataset = data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _Call(function), batch_size=1, batch_format="pyarrow"
        )
        with progress_bar(name, total=len(items)) as bar:
            for row in dataset.iter_rows():
                bar.progress.advance(bar.task)
                result = pickle.loads(row["result"])  # noqa: S301  written by our own workers
                if isinstance(result, TunewellError):
                    raise result
                yield result

    def _connect(self) -> None:
        if not self._ray.is_initialized():
            _refuse_silence(os.environ.get("RAY_ADDRESS", ""))
            self._ray.init(log_to_driver=False, include_dashboard=False, logging_level="warning")


def _refuse_silence(address: str) -> None:
    """Ray tries for minutes to reach a cluster that is not there."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE_SECONDS).close()
    except OSError as error:
        hint = "start the cluster, or unset RAY_ADDRESS to work with a Ray of this machine"
        raise MachineError(
            f"no Ray cluster answers: {error.strerror or error}", where=f"RAY_ADDRESS={address}", hint=hint
        ) from None


def _settle(context: Any) -> None:
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)


class _Call:
    """A function over batches of one row: the pickled item in, the pickled result out."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def __call__(self, batch: Any) -> Any:
        import pyarrow as pa

        results = []
        for item in batch.column("item").to_pylist():
            try:
                result: Any = self._function(pickle.loads(item))  # noqa: S301  written by our own driver
            except TunewellError as error:
                result = error
            results.append(pickle.dumps(result))
        return pa.table({"result": pa.array(results, pa.large_binary())})
