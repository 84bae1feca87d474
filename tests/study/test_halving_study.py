"""A study with successive halving on Ray: trials pause at a rung, and the best go on."""

import json
import os
import subprocess
import sys

import pytest
from studies_under_fire import LIMIT_S, ROOT, table_of

from conspo_study.records import EventKind, TrialState
from conspo_study.results.log import read_log
from conspo_study.results.rows import read_steps

pytestmark = [pytest.mark.slow, pytest.mark.ray]

STUDY = """
from conspo_study import Anchor, Halving, Range, Sampler, Study, main


def halved(base):
    return Study(
        name="halved",
        base=base,
        space={"objective.tau": Range(low=0.1, high=10.0, log=True)},
        anchors=(Anchor(label="base", params={}),),
        trials=5,
        seeds=(0, 1),
        sampler=Sampler(name="random"),
        metric=base.evaluation.main_metric,
        early_stopping=Halving(rungs=(2,), keep=0.5, bracket=4),
    )


raise SystemExit(main(halved, __doc__))
"""


def test_trials_pause_at_a_rung_and_the_best_go_on(shared_ray, tmp_path):
    script = tmp_path / "halved.py"
    script.write_text(STUDY, "utf-8")
    command = [sys.executable, str(script), "--preset", "quick", "--results", str(tmp_path / "r")]
    environment = {**shared_ray, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        cwd=tmp_path,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "paused" in done.stdout and done.stderr == ""
    folder = tmp_path / "r" / "halved"
    table = table_of(folder)
    assert table.finished
    searched = [row for row in table.rows if not row.label]
    assert [tuple(row.pauses) for row in searched] == [(2,)] * 4
    assert sorted(row.state for row in searched) == [
        *[TrialState.FINISHED] * 2,
        *[TrialState.PRUNED] * 2,
    ]
    at_rung = {
        logged.event.trial: logged.event.data["value"]
        for logged in read_log(folder / "log.jsonl")
        if logged.event.kind is EventKind.PAUSED
    }
    lost = [row.id for row in searched if row.state is TrialState.PRUNED]
    assert max(at_rung[t] for t in lost) <= min(at_rung[t] for t in at_rung if t not in lost)
    for row in searched:
        steps = read_steps(folder / "trials" / row.id / "steps.jsonl")
        last = 4 if row.state is TrialState.FINISHED else 2
        assert [(s["seed"], s["step"]) for s in steps] == [
            (seed, step) for seed in (0, 1) for step in range(1, last + 1)
        ]
        assert row.step == last
    baseline = next(row for row in table.rows if row.label)
    assert baseline.state is TrialState.FINISHED and not baseline.pauses
    assert json.loads((folder / "study.json").read_text())["definition"]["early_stopping"] == {
        "rungs": [2],
        "keep": 0.5,
        "bracket": 4,
    }
