import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.engine.work import die_at_three, own_process, refuse_three, square
from tunewell.engine import LocalEngine, choose_engine
from tunewell.errors import DataError, MachineError


def test_results_come_in_the_order_of_the_items() -> None:
    assert list(LocalEngine(2).map(square, range(50), name="squares")) == [number * number for number in range(50)]


def test_one_item_is_done_in_this_process_and_several_in_others() -> None:
    assert list(LocalEngine(2).map(own_process, [0], name="pid")) == [os.getpid()]
    assert os.getpid() not in set(LocalEngine(2).map(own_process, [0, 1, 2, 3], name="pid"))


def test_no_item_no_result() -> None:
    assert list(choose_engine("local").map(square, [], name="squares")) == []


def test_a_users_mistake_in_a_worker_arrives_whole() -> None:
    with pytest.raises(DataError) as caught:
        list(LocalEngine(2).map(refuse_three, range(5), name="refusal"))
    assert str(caught.value) == "items:3: three is refused\n\nhint: leave it out"


def test_a_killed_worker_is_an_error_with_a_hint() -> None:
    with pytest.raises(MachineError, match="a worker process was killed") as caught:
        list(LocalEngine(2).map(die_at_three, range(5), name="killed"))
    assert "memory" in caught.value.hint


def test_no_worker_outlives_a_killed_parent(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path; from tests.engine.work import note_and_wait; from tunewell.engine import LocalEngine\n"
        f"if __name__ == '__main__': list(LocalEngine(2).map(note_and_wait, [Path({str(tmp_path)!r})] * 2, name='wait'))"
    )
    main = tmp_path / "main.py"
    main.write_text(script)
    root = Path(__file__).parents[2]
    parent = subprocess.Popen([sys.executable, main], env={**os.environ, "PYTHONPATH": str(root)})
    workers = _wait_for(lambda: [int(path.name.removeprefix("worker-")) for path in tmp_path.glob("worker-*")], count=2)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert _wait_for(lambda: [pid for pid in workers if not _is_alive(pid)], count=2) == workers


def _wait_for(seen: object, *, count: int) -> list[int]:
    assert callable(seen)
    for _ in range(300):
        found: list[int] = seen()
        if len(found) == count:
            return found
        time.sleep(0.1)
    pytest.fail(f"waited 30 s for {count}")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
