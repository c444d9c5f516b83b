"""The engine `ray` on a cluster of two nodes in this machine, one of which is killed while it works."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tunewell.engine import choose_engine
from tunewell.errors import DataError, MachineError

pytest.importorskip("ray", reason="the extra `cluster` is not installed")


def test_a_cluster_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(MachineError) as caught:
        list(choose_engine("ray").map(_square, [1], name="squares"))
    assert str(caught.value).startswith("RAY_ADDRESS=127.0.0.1:1: no Ray cluster answers: Connection refused")
    assert "unset RAY_ADDRESS" in caught.value.hint


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from tests.engine.cluster import two_nodes

    with two_nodes() as nodes:
        yield nodes


def test_results_come_in_the_order_of_the_items(cluster: Any) -> None:
    assert list(choose_engine("ray").map(_square, range(20), name="squares")) == [number * number for number in range(20)]
    assert list(choose_engine("ray").map(_square, [], name="squares")) == []


def test_a_users_mistake_on_a_node_arrives_whole(cluster: Any) -> None:
    with pytest.raises(DataError) as caught:
        list(choose_engine("ray").map(_refuse_three, range(5), name="refusal"))
    assert str(caught.value) == "items:3: three is refused\n\nhint: leave it out"


def test_the_items_of_a_killed_node_are_done_again(cluster: Any) -> None:
    killer = threading.Timer(3, cluster.kill_second)
    killer.start()
    results = list(choose_engine("ray").map(_slowly, range(40), name="slow"))
    killer.join()
    assert [number for number, _ in results] == list(range(40))
    assert len({node for _, node in results}) == 2, "both nodes did some of the work"
    cluster.wait_until_one_lives()


def _square(number: int) -> int:
    return number * number


def _refuse_three(number: int) -> int:
    from tunewell.errors import DataError

    if number == 3:
        raise DataError("three is refused", where="items:3", hint="leave it out")
    return number


def _slowly(number: int) -> tuple[int, str]:
    import time

    import ray

    time.sleep(0.3)
    return number, ray.get_runtime_context().get_node_id()
