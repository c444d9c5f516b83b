"""Memory: a process reports its own peak, whoever started it."""

import subprocess
import sys

from tunewell.memory import available_memory, peak_memory

_MIB = 2**20


def test_a_small_process_started_by_a_large_one_is_small() -> None:
    ballast = bytearray(300 * _MIB)
    assert peak_memory() > 300 * _MIB
    code = "from tunewell.memory import peak_memory; print(peak_memory())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 2 * _MIB < int(done.stdout) < 200 * _MIB
    assert len(ballast) == 300 * _MIB


def test_available_memory_is_some_and_less_than_there_is() -> None:
    assert 10 * _MIB < available_memory() < 2**46
