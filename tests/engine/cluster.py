"""A Ray cluster of two nodes in this machine, for tests."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple


class TwoNodes(NamedTuple):
    """A cluster and the second of its nodes."""

    cluster: Any
    second: Any

    def kill_second(self) -> None:
        """Kill the second node as a power cut would."""
        self.cluster.remove_node(self.second, allow_graceful=False)

    def wait_until_one_lives(self) -> None:
        """Wait until the cluster has noticed that a node is gone, which takes it some seconds."""
        import ray

        nodes: Any = ray.nodes
        for _ in range(600):
            if sum(node["Alive"] for node in nodes()) == 1:
                return
            time.sleep(0.1)
        raise AssertionError("the cluster still counts two nodes after a minute")


@contextmanager
def two_nodes() -> Iterator[TwoNodes]:
    """Start the cluster and connect to it; its nodes have addresses of their own on the loopback device."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    # The nodes import a test's functions from here.
    os.environ["PYTHONPATH"] = str(Path.cwd())
    import ray
    from ray.cluster_utils import Cluster

    cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "node_ip_address": "127.0.0.2"})
    second = cluster.add_node(num_cpus=1, node_ip_address="127.0.0.3")
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        yield TwoNodes(cluster, second)
    finally:
        ray.shutdown()
        cluster.shutdown()
