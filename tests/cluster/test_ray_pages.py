"""Ray's dashboard and Prometheus show a study while it runs."""

import json
import re
import shutil
import subprocess
import time
from urllib.parse import urlencode

import pytest
from monitoring_files import DISCOVERY, SCRAPING, TARGET, expressions, filled_in
from running_studies import ended_in_order, fetch, free_ports, running_study, without_ray
from studies_under_fire import LIMIT_S, SCRIPT, wait_for

from conspo_study.cluster.connection import METRICS_PORT
from conspo_study.cluster.own_ray import ALLOW
from conspo_study.cluster.prometheus import METRICS
from conspo_study.records import TrialState
from conspo_study.results.log import read_log
from conspo_study.results.table import build_table

pytestmark = [pytest.mark.slow, pytest.mark.ray]

FORGOTTEN_S = 30
"""Longer than Ray shows values of a process that has ended: 20 s, and a scrape."""


@pytest.fixture(scope="module")
def metrics_port():
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def study(tmp_path_factory, metrics_port):
    """The results directory of a study that runs, and its output."""
    folder = tmp_path_factory.mktemp("results")
    environment = without_ray(
        CONSPO_STUDY_CACHE=str(tmp_path_factory.mktemp("cache")),
        **{ALLOW: "1"},
        **{METRICS_PORT: str(metrics_port)},
    )
    # Long enough that the study outlives the tests of this file.
    settings = ("--trials", "60", "--set", "train.steps=100", "--set", "evaluation.every=20")
    with running_study(folder, environment, *settings) as output:
        log = folder / "margin_sweep" / "log.jsonl"
        wait_for(
            lambda: log.exists() and '"event":"reported"' in log.read_text(),
            LIMIT_S,
            "the first report of a trial",
        )
        yield folder / "margin_sweep", output


@pytest.fixture(scope="module")
def dashboard(study):
    """A function that asks the dashboard, at the address that the study has printed."""
    (url,) = re.findall(r"^Ray dashboard: (http://\S+)$", study[1].read_text(), re.MULTILINE)

    def get(path):
        return json.loads(wait_for(lambda: fetch(f"{url}{path}"), LIMIT_S, path))

    return get


@pytest.fixture(scope="module")
def prometheus(study, metrics_port, tmp_path_factory):
    """A function that evaluates PromQL in a real Prometheus, which scrapes the study as the
    configuration that is shipped says."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed")
    folder = tmp_path_factory.mktemp("prometheus")
    config = SCRAPING.read_text().replace(TARGET, f"127.0.0.1:{metrics_port}")
    config = config.replace(DISCOVERY, str(folder / "none.json"))
    (folder / "prometheus.yml").write_text(config.replace("10s", "3s"))
    (port,) = free_ports(1)
    command = [
        *(program, f"--config.file={folder}/prometheus.yml"),
        *(f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"),
    ]

    def ask(expression):
        answer = fetch(f"http://127.0.0.1:{port}/api/v1/query?{urlencode({'query': expression})}")
        return json.loads(answer)["data"]["result"] if answer else []

    with (
        (folder / "output.txt").open("wb") as file,
        ended_in_order(subprocess.Popen(command, stdout=file, stderr=file)),
    ):
        yield ask


def table_of(study):
    return build_table(read_log(study[0] / "log.jsonl"))


def test_actors_carry_study_trial_and_settings(dashboard):
    def shown():
        actors = dashboard("/logical/actors")["data"]["actors"].values()
        drivers = {one["reprName"] for one in actors if one["actorClass"] == "TrialDriver"}
        queues = [one["name"] for one in actors if one["actorClass"] == "_QueueActor"]
        return drivers if len(drivers) > 1 and len(queues) > 1 else None, queues

    drivers, _ = wait_for(lambda: found if (found := shown())[0] else None, LIMIT_S, "two trials")
    assert {
        "margin_sweep t0000 [linear] name=conspo_linear",
        "margin_sweep t0001 [GRPO] name=grpo",
    } <= drivers
    assert any(re.match(r"margin_sweep-t0001 reports ", name) for name in shown()[1])


def test_the_job_has_the_study_s_name_and_command(dashboard):
    (job,) = dashboard("/api/jobs/")
    assert job["metadata"] == {
        "job_name": "margin_sweep",
        "study": "margin_sweep",
        "results": "margin_sweep",
    }
    assert f"{SCRIPT} --preset quick" in job["entrypoint"]


def test_ray_knows_which_workers_belong_to_which_trial(dashboard):
    def found():
        runs = dashboard("/api/train/v2/runs/v1")["train_runs"]
        return {run["name"]: str(run) for run in runs}

    def worker():
        actors = dashboard("/logical/actors")["data"]["actors"].values()
        ids = [one["actorId"] for one in actors if one["actorClass"] == "RayTrainWorker"]
        runs = found()
        both = {"margin_sweep-t0000", "margin_sweep-t0001"} <= runs.keys()
        return both and any(one in text for text in runs.values() for one in ids)

    wait_for(worker, LIMIT_S, "both trials and a worker among the runs")


def test_every_panel_of_the_dashboard_has_something_to_show(prometheus, study):
    for title, expression in expressions().items():
        wait_for(lambda e=expression: prometheus(filled_in(e, "margin_sweep")), LIMIT_S, title)


def test_values_have_the_tags_that_were_declared_and_are_those_of_the_log(prometheus, study):
    for metric in METRICS:
        for series in wait_for(lambda m=metric: prometheus(f"ray_{m.name}"), LIMIT_S, metric.name):
            assert set(metric.tags) <= series["metric"].keys(), series["metric"]
            assert series["metric"]["study"] == "margin_sweep"


def test_metrics_of_a_trial_outlive_its_workers(prometheus, study):
    def ended():
        return [row for row in table_of(study).rows if row.state is TrialState.FINISHED]

    trial = wait_for(ended, LIMIT_S, "the end of a trial")[0].id
    time.sleep(FORGOTTEN_S)
    row = table_of(study).row(trial)
    for seed, measured in row.seed_metrics.items():
        expression = f'ray_conspo_reward{{trial="{trial}", seed="{seed}"}}'
        (series,) = prometheus(expression)
        assert float(series["value"][1]) == pytest.approx(measured["reward"])
    (counted,) = prometheus('ray_conspo_trials{state="finished"}')
    assert float(counted["value"][1]) >= 1
