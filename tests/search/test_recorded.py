"""Searches that are replayed on a recorded table spend and find what a real one would."""

import itertools
import zlib
from dataclasses import replace

import pytest
from study_fixtures import METRIC, TAU, definition

from conspo_study.config import with_overrides
from conspo_study.definition import EarlyStopping, Halving, Sampler
from conspo_study.definition.presets import EMBEDDED, QUICK
from conspo_study.search.recorded import (
    EMBEDDED_TASK,
    RecordedTask,
    embedded_task,
    key_of,
    read_task,
    replay,
    write_task,
)

RATE = "update.learning_rate"
STEPS, EVERY = 8, 2
GRID = {TAU: [0.1, 0.3, 1.0, 3.0, 10.0], RATE: [1e-4, 3e-4, 1e-3]}


def height(params, seed, step):
    good = 0.2 * (params[TAU] == 1.0) + 0.1 * (params[RATE] == 3e-4)
    return (0.3 + good) * step / STEPS + 0.01 * seed


def luck(*names):
    """Noise that depends on the names alone."""
    return zlib.crc32(repr(names).encode()) / 2**32 / 1000


def table():
    curves = {}
    for values in itertools.product(*GRID.values()):
        params = dict(zip(GRID, values, strict=True))
        curves[key_of(params)] = {
            step: {seed: height(params, seed, step) for seed in (0, 1)}
            for step in range(0, STEPS + 1, EVERY)
        }
    return RecordedTask(METRIC, "max", STEPS, GRID, curves)


def study(task, **changes):
    base = with_overrides(QUICK, {"train.steps": STEPS, "evaluation.every": EVERY})
    fields = {
        "base": base,
        "space": task.choices(),
        "anchors": (),
        "trials": 15,
        "seeds": task.seeds,
        "sampler": Sampler(name="random"),
        "early_stopping": None,
    }
    return definition(**{**fields, **changes})


def test_the_best_of_the_table_is_known():
    assert table().best == pytest.approx(0.6 + 0.005)
    assert replace(table(), direction="min").best == pytest.approx(0.305)


def test_without_early_stopping_every_trial_costs_all_of_its_steps():
    task = table()
    found = list(replay(study(task), task))
    assert [point.spent for point in found] == [2 * STEPS * n for n in range(1, 16)]
    values = [point.value for point in found]
    assert values == sorted(values) and values[-1] == task.best, "the whole grid was tried"


def test_halving_costs_what_its_rungs_say():
    task = table()
    rule = Halving(rungs=(2, 4), keep=1 / 3, bracket=9)
    found = list(replay(study(task, trials=9, early_stopping=rule), task))
    assert found[-1].spent == 2 * (9 * 2 + 3 * 2 + 1 * 4)
    assert rule.trained_share(STEPS) == found[-1].spent / (2 * 9 * STEPS)
    assert found[8].value is None, "at the first rung nobody has come to the last step"


def test_racing_stops_what_is_worse():
    task = table()
    noisy = {
        key: {
            step: {seed: value + luck(key, seed, step) for seed, value in values.items()}
            for step, values in curve.items()
        }
        for key, curve in task.curves.items()
    }
    task = replace(task, curves=noisy)
    raced = study(task, early_stopping=EarlyStopping(min_fraction=0.25, alpha=0.2), lag=0)
    assert list(replay(raced, task))[-1].spent < 2 * 15 * STEPS


def test_a_table_survives_being_stored(tmp_path):
    task = table()
    write_task(tmp_path / "task.parquet", task)
    again = read_task(tmp_path / "task.parquet")
    assert again.curves == task.curves and again.best == task.best and again.seeds == (0, 1)
    assert list(replay(study(again), again)) == list(replay(study(task), task))


def test_a_setting_that_was_not_recorded_is_named():
    task = table()
    other = study(task, space={TAU: [0.2, 1.0], RATE: [1e-4, 3e-4]}, trials=4)
    with pytest.raises(KeyError, match=r"0\.2"):
        list(replay(other, task))


def test_what_is_no_table_is_refused(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"x\.parquet"):
        read_task(tmp_path / "x.parquet")


def test_the_shipped_table_holds_every_setting_of_its_grid_with_all_seeds_and_steps():
    task = embedded_task()
    points = [
        dict(zip(task.space, v, strict=True)) for v in itertools.product(*task.space.values())
    ]
    assert len(points) == len(task.curves) == 108
    for params in points:
        curve = task.curve(params)
        assert sorted(curve) == list(range(0, task.steps + 1, 4))
        assert all(tuple(sorted(values)) == task.seeds == (0, 1, 2) for values in curve.values())
        assert all(0 <= value <= 1 for values in curve.values() for value in values.values())
    assert EMBEDDED_TASK.stat().st_size < 2_000_000


def test_a_search_on_the_shipped_table_takes_seconds_and_finds_what_few_settings_reach():
    task = embedded_task()
    base = with_overrides(EMBEDDED, {"train.steps": task.steps, "evaluation.every": 4})
    fields = {"base": base, "trials": 24, "metric": task.metric}
    found = list(replay(study(task, **fields), task))
    assert found[-1].spent == 24 * task.steps * 3
    finals = sorted(sum(curve[task.steps].values()) / 3 for curve in task.curves.values())
    assert finals[0] < 0.1 < 0.6 < task.best == finals[-1]
    assert found[-1].value > finals[-len(finals) // 4], "24 of 108 settings miss the best quarter"
