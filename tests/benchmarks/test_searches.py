"""The comparison of searches, on a table that is made up."""

import importlib.util
import itertools
import json
import math
import sys
import zlib
from pathlib import Path

import pytest

from conspo_study.search.recorded import RecordedTask, key_of, write_task

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def searches(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("searches", BENCHMARKS / "searches.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def value(params, seed, step):
    tau, rate = params["objective.tau"], params["update.learning_rate"]
    far = abs(math.log(tau)) + abs(math.log(rate / 1e-4)) + 0.1 * params["objective.margin"]
    noise = zlib.crc32(repr((params, seed, step)).encode()) / 2**32
    return (0.8 - 0.1 * far) * (1 - math.exp(-step / 6)) + 0.02 * noise


@pytest.fixture
def table(searches, tmp_path):
    base = searches.base()
    steps, every = base.train.steps, base.evaluation.every
    curves = {}
    for values in itertools.product(*searches.GRID.values()):
        params = dict(zip(searches.GRID, values, strict=True))
        curves[key_of(params)] = {
            step: {seed: value(params, seed, step) for seed in searches.SEEDS}
            for step in range(0, steps + 1, every)
        }
    path = tmp_path / "table.parquet"
    task = RecordedTask(base.evaluation.main_metric, "max", steps, searches.GRID, curves)
    write_task(path, task)
    return path


def test_every_method_is_told_at_every_share_of_the_budget(
    searches, table, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "out.json"
    words = ["searches.py", "--table", str(table), "--runs", "2", "--json", str(out)]
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(searches, "TRIALS", 6)
    searches.main()
    said = capsys.readouterr().out
    found = json.loads(out.read_text())
    assert found["settings"] == 108
    for name, by_share in found["regret"].items():
        assert name in said
        means = [told["mean"] for told in by_share.values()]
        assert len(means) == len(searches.SHARES)
        assert all(mean >= 0 for mean in means) and means == sorted(means, reverse=True)


def test_halving_has_seen_more_settings_for_the_same_steps(searches, table):
    task = searches.read_task(table)
    ways = searches.methods(task)
    spent = {name: [] for name in ("random", "halving, random")}
    for name in spent:
        spent[name] = [searches.regrets(task, ways[name], seed) for seed in range(4)]
    last = {name: sum(run[-1] for run in runs) for name, runs in spent.items()}
    assert last["halving, random"] < last["random"]
