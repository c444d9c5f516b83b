"""The disk fills up while answers are written: the run stops and says so, what is stored stays, and nothing is paid twice."""

import shlex
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.teacher.conftest import server_process
from tests.teacher.program import Program
from tests.teacher.server import read_ledger

_COUNT = 800
_LIMIT = 250_000
_HINT = "hint: free some space on its disk; what was answered so far is kept, and the same command goes on\n"
_IN_A_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


def test_a_file_that_may_not_grow_stops_the_run(tmp_path: Path) -> None:
    with server_process(tmp_path) as url:
        program = Program(tmp_path, url, concurrency=16)
        command = [*program.command("stopped", _COUNT), "--largest-file", str(_LIMIT)]
        stopped = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        program.run("whole", _COUNT)
    assert stopped.returncode == 2
    assert stopped.stderr.startswith(
        f"MachineError: {program.cache}: the cache of the teacher's answers cannot be used: disk I/O error"
    )
    _assert_nothing_lost(program, stopped.stderr)


def test_a_full_disk_stops_the_run(tmp_path: Path) -> None:
    if not _may_mount(tmp_path):
        pytest.skip("a full disk needs `unshare` with a user namespace, to mount a small one")
    with server_process(tmp_path) as url:
        program = Program(tmp_path, url, concurrency=16)
        disk = tmp_path / "disk"
        disk.mkdir()
        program.cache = disk / "cache.sqlite"
        said = tmp_path / "said"
        script = [
            f"mount -t tmpfs -o size={_LIMIT} tmpfs {disk}",
            f"{shlex.join(program.command('stopped', _COUNT))} 2> {said} && exit 9",
            f"mount -o remount,size=50m {disk}",
            shlex.join(program.command("whole", _COUNT)),
        ]
        done = subprocess.run(
            [*_IN_A_NAMESPACE, "sh", "-c", "\n".join(script)], capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 0, done.stderr
    what = said.read_text(encoding="utf-8")
    assert what.startswith(
        f"MachineError: {program.cache}: the cache of the teacher's answers cannot be used: database or disk is full\n"
    )
    _assert_nothing_lost(program, what)


def _assert_nothing_lost(program: Program, said: str) -> None:
    assert said.endswith(_HINT)
    answered = {line["number"] for line in program.results("stopped")}
    assert 20 < len(answered) < _COUNT
    whole = {line["number"]: line for line in program.results("whole")}
    assert len(whole) == _COUNT
    assert all(whole[number]["cached"] for number in answered)
    assert all("value" in line for line in whole.values())
    assert max(Counter(line["messages"] for line in read_ledger(program.ledger)).values()) == 1


def _may_mount(folder: Path) -> bool:
    if shutil.which("unshare") is None:
        return False
    command = [*_IN_A_NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
