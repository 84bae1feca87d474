"""The example of a cluster file is one that Ray accepts, and starts what the page describes."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cluster():
    return yaml.safe_load((ROOT / "docs" / "cluster.yaml").read_text())


def test_ray_accepts_it_with_its_defaults(cluster):
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(cluster)
    validate_config(prepared)
    (node_type,) = prepared["available_node_types"].values()
    assert node_type["max_workers"] == len(cluster["provider"]["worker_ips"])


def test_it_needs_no_container_and_no_cloud(cluster):
    assert "docker" not in cluster
    assert cluster["provider"]["type"] == "local"


def test_every_node_installs_the_package_and_joins_with_a_token(cluster):
    setup = "\n".join(cluster["setup_commands"])
    assert "pip install" in setup and "constraints.txt" in setup
    starts = [*cluster["head_start_ray_commands"], *cluster["worker_start_ray_commands"]]
    started = [command for command in starts if "ray start" in command]
    assert len(started) == 2 and all("RAY_AUTH_MODE=token" in command for command in started)
