"""A cluster that has no node for trials at first, grows later, and is empty for a while."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from running_studies import cluster_of_nodes
from studies_under_fire import LIMIT_S, SCRIPT, table_of, wait_for

from conspo_study.records import TrialState
from conspo_study.results.incidents import read_incidents

pytestmark = [pytest.mark.slow, pytest.mark.ray]

NO_ROOM = "worker group startup timed out"
"""What Ray Train says of it."""
ROOM_S = 0.2
"""Time that Ray Train waits for room at once, instead of ten minutes."""


@pytest.fixture
def cluster():
    """A head that takes no trial."""
    with cluster_of_nodes(cpus=0) as cluster:
        yield cluster


def test_a_study_waits_for_nodes_uses_those_that_come_and_survives_having_none(cluster, tmp_path):
    environment = {
        **os.environ,
        "RAY_ADDRESS": cluster.address,
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(ROOM_S),
    }
    study = ["--preset", "quick", "--trials", "5", "--no-confirm", "--results", str(tmp_path)]
    study += ["--wait-for-nodes", "1"]
    folder, output = tmp_path / "margin_sweep", tmp_path / "output.txt"
    with (
        output.open("wb") as file,
        subprocess.Popen(
            [sys.executable, str(SCRIPT), *study], stdout=file, stderr=file, env=environment
        ) as driver,
    ):
        try:
            wait_for(lambda: "there are 0" in output.read_text(), LIMIT_S, "waiting for a node")
            assert not table_of(folder).rows
            first = cluster.add_node(num_cpus=1)
            wait_for(lambda: running(folder) == 1, LIMIT_S, "a trial")
            second = cluster.add_node(num_cpus=1)
            wait_for(lambda: running(folder) == 2, LIMIT_S, "a trial on the node that came later")
            for node in (first, second):
                cluster.remove_node(node, allow_graceful=False)
            wait_for(lambda: gave_up(cluster), LIMIT_S, "the end of Ray Train's patience")
            waiting = {row.id for row in table_of(folder).rows}
            assert len(waiting) == running(folder) == 2
            for _ in range(2):
                cluster.add_node(num_cpus=1)
            wait_for(lambda: ended(folder, waiting), LIMIT_S, "the end of the trials that waited")
            driver.send_signal(signal.SIGINT)
            driver.wait(LIMIT_S)
        finally:
            driver.kill()
    assert driver.returncode == 130, output.read_text()
    incidents = [one for trial in folder.glob("trials/*") for one in read_incidents(trial)]
    assert not [one for one in incidents if NO_ROOM in str(one)], "waiting is no death"


def ended(folder, trials):
    """Whether all of these trials have reached their last step. Raises if one has failed."""
    states = [row.state for row in table_of(folder).rows if row.id in trials]
    assert TrialState.FAILED not in states
    return states == [TrialState.FINISHED] * len(trials)


def running(folder):
    return sum(row.state is TrialState.RUNNING for row in table_of(folder).rows)


def gave_up(cluster):
    """Whether Ray Train has ended a trial's run since there was no room for its workers."""
    logs = Path(cluster.head_node.get_session_dir_path()) / "logs" / "train"
    texts = [path.read_text("utf-8", "replace") for path in logs.glob("*controller*.log")]
    return any("[FailurePolicy] RAISE" in text and NO_ROOM in text for text in texts)
