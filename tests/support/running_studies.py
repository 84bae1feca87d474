"""A study that runs while a test observes it, and a private Ray cluster."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

from studies_under_fire import LIMIT_S, ROOT, SCRIPT, wait_for

RAY = [sys.executable, "-m", "ray.scripts.scripts"]


def free_ports(count):
    """Distinct ports of this machine that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for reserved in sockets:
        reserved.bind(("127.0.0.1", 0))
    ports = [reserved.getsockname()[1] for reserved in sockets]
    for reserved in sockets:
        reserved.close()
    return ports


@contextmanager
def cluster_of_nodes(cpus):
    """A cluster whose head has so many cores, to which Ray nodes can be added as processes."""
    from ray.cluster_utils import Cluster

    (port,) = free_ports(1)
    head = {"num_cpus": cpus, "include_dashboard": True, "dashboard_port": port}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield cluster
    finally:
        cluster.shutdown()


def fetch(url):
    """The text at a URL of this machine; empty while no server answers."""
    with suppress(OSError), urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()
    return ""


@contextmanager
def ended_in_order(process, number=signal.SIGINT):
    """Send the process a signal when the block ends, and kill it if it ignores that."""
    try:
        yield process
    finally:
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            process.send_signal(number)
            process.wait(60)
        process.kill()
        process.wait()


@contextmanager
def running_study(folder, environment, *arguments):
    """A margin sweep that ends with the block; yields the file with its output."""
    output = folder / "output.txt"
    command = [sys.executable, str(SCRIPT), "--preset", "quick", "--results", str(folder)]
    with (
        output.open("wb") as file,
        ended_in_order(
            subprocess.Popen([*command, *arguments], stdout=file, stderr=file, env=environment)
        ),
    ):
        yield output


@contextmanager
def head_of_a_cluster(environment, cpus=2):
    """A Ray head with private ports and folders; yields the URL of its dashboard."""
    port, client, dashboard, agent = free_ports(4)
    # Paths of sockets must be short.
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    options = {
        "port": port,
        "ray-client-server-port": client,
        "dashboard-port": dashboard,
        "dashboard-agent-listen-port": agent,
        "min-worker-port": 0,
        "max-worker-port": 0,
        "num-cpus": cpus,
        "object-store-memory": 200_000_000,
        "temp-dir": folder,
    }
    command = [*RAY, "start", "--head", "--block", "--disable-usage-stats"]
    command += [f"--{name}={value}" for name, value in options.items()]
    url = f"http://127.0.0.1:{dashboard}"
    try:
        with (
            (folder / "output.txt").open("wb") as file,
            ended_in_order(
                subprocess.Popen(command, stdout=file, stderr=file, env=environment, cwd=ROOT),
                signal.SIGTERM,
            ),
        ):
            wait_for(lambda: fetch(f"{url}/api/version"), LIMIT_S, "the cluster's dashboard")
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def without_ray(**more):
    """This process's environment without a cluster's address and without tokens, and `more`."""
    kept = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return {**kept, "RAY_AUTH_MODE": "disabled", **more}
