"""A study as a submitted job of a cluster that was there before."""

import json
import subprocess
import sys

import pytest
from running_studies import RAY, head_of_a_cluster, without_ray
from studies_under_fire import LIMIT_S, ROOT

from conspo_study.records import TrialState
from conspo_study.results.log import read_log
from conspo_study.results.table import build_table

pytestmark = [pytest.mark.slow, pytest.mark.ray]


def test_a_submitted_study_runs_on_the_cluster_from_an_uploaded_copy(tmp_path):
    environment = without_ray()
    runtime = {
        "working_dir": str(ROOT),
        "excludes": ["/.git", "/tests", "/docs", "/results", "/.venv*"],
        # The study passes the same on to its processes.
        "env_vars": {"CONSPO_STUDY_CACHE": str(tmp_path / "cache")},
    }
    with head_of_a_cluster(environment) as url:
        submitted = subprocess.run(
            [
                *(*RAY, "job", "submit", "--address", url, "--submission-id", "search"),
                *("--metadata-json", json.dumps({"owner": "somebody"})),
                *("--runtime-env-json", json.dumps(runtime), "--"),
                *(sys.executable, "studies/joint_search.py", "--preset", "quick", "--trials", "2"),
                *("--set", "train.steps=2", "--no-confirm", "--results", str(tmp_path)),
            ],
            capture_output=True,
            text=True,
            timeout=2 * LIMIT_S,
            env=environment,
        )
        assert submitted.returncode == 0, submitted.stdout + submitted.stderr
        listed = subprocess.run(
            [*RAY, "job", "list", "--address", url, "--log-style", "record"],
            capture_output=True,
            text=True,
            timeout=60,
            env=environment,
        )
    assert f"Ray dashboard: {url}" in submitted.stdout
    assert "'owner': 'somebody'" in listed.stdout, listed.stdout
    rows = build_table(read_log(tmp_path / "joint_search" / "log.jsonl")).rows
    assert [row.state for row in rows] == [TrialState.FINISHED] * 2
    snapshot = json.loads((tmp_path / "joint_search" / "snapshot.json").read_text())
    assert "studies/joint_search.py" in json.dumps(snapshot)
