"""A machine of the cluster disappears in the middle of a study."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from running_studies import cluster_of_nodes
from studies_under_fire import LIMIT_S, SCRIPT, assert_nothing_is_lost, table_of, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.ray]


@pytest.fixture
def cluster():
    """A head and two more nodes of one core each, as separate Ray node processes."""
    with cluster_of_nodes(cpus=1) as cluster:
        yield cluster


def test_all_trials_finish_although_a_node_is_lost(cluster, tmp_path):
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    environment = {**os.environ, "RAY_ADDRESS": cluster.address}
    study = ["--preset", "quick", "--trials", "5", "--no-confirm", "--results", str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), *study],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    ) as driver:
        try:
            lost = wait_for(lambda: node_that_trains(nodes), LIMIT_S, "a trial on another node")
            cluster.remove_node(lost, allow_graceful=False)
            output, _ = driver.communicate(timeout=2 * LIMIT_S)
        finally:
            driver.kill()
    assert driver.returncode == 0, output
    assert_nothing_is_lost(tmp_path / "margin_sweep")
    assert len(table_of(tmp_path / "margin_sweep").rows) == 5


def node_that_trains(nodes):
    """The first of the nodes on which a worker of a trial runs."""
    for node in nodes:
        raylet = str(node.all_processes["raylet"][0].process.pid)
        for process in Path("/proc").glob("[0-9]*"):
            try:
                title = (process / "cmdline").read_bytes()
                parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            if title.startswith(b"ray::RayTrainWorker") and parent == raylet:
                return node
    return None
