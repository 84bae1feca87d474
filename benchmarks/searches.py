"""Regret of search methods at equal budgets, on a recorded table of settings.

    python benchmarks/searches.py [--runs 20] [--table FILE] [--json out.json]
    python benchmarks/searches.py --record FILE                  run every setting of the grid anew

The table is the one that comes with the package unless `--table` names another.

Random settings, TPE, TPE with racing, and successive halving with random settings and with TPE,
each repeated `--runs` times with another root seed. The regret is the table's best value minus that
of the trial that a search selects, after so many training steps over all seeds; a search that has
selected none yet has the regret of the worst. Intervals are Student's over repetitions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from harness import parser, write

from analysis.findings.frames import evaluation_curves
from analysis.load import load_study
from conspo_study import Anchor, EarlyStopping, Halving, Sampler, Study, with_overrides
from conspo_study.config import RunConfig
from conspo_study.definition.presets import EMBEDDED
from conspo_study.search.recorded import (
    EMBEDDED_TASK,
    RecordedTask,
    key_of,
    read_task,
    replay,
    write_task,
)
from conspo_study.statistics.contrast import mean_contrast

GRID: dict[str, list[Any]] = {
    "objective.tau": [0.1, 0.3, 1.0, 3.0],
    "objective.margin": [0.0, 2.0, 10.0],
    "rollout.group_size": [4, 8, 16],
    "update.learning_rate": [3e-5, 1e-4, 3e-4],
}
SEEDS = (0, 1, 2)
SHARES = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
"""Of the steps that 24 whole trials take, at which regrets are told."""
TRIALS = 24


def base() -> RunConfig:
    """Stale data, on which settings differ, with an evaluation every fourth batch."""
    return with_overrides(
        EMBEDDED,
        {
            **{"update.mini_batches": 4, "update.epochs_per_batch": 4},
            **{"objective.margin_unit": "tau", "objective.schedule": "constant"},
            **{"train.steps": 24, "evaluation.every": 4, "evaluation.sets": ("chain/hard",)},
        },
    )


def record(path: Path) -> None:
    """Run every setting of the grid, and write the table."""
    settings = [
        dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())
    ]
    anchors = tuple(Anchor(label=key_of(params), params=params) for params in settings)
    study = Study(
        name="recorded",
        base=base(),
        anchors=anchors,
        trials=len(anchors),
        seeds=SEEDS,
        metric=base().evaluation.main_metric,
        early_stopping=None,
    )
    folder = path.with_suffix("")
    study.run_in(folder, resume=folder.exists())
    results = load_study(folder)
    keys = {row.id: row.label for row in results.table.rows}
    curves: dict[str, dict[int, dict[int, float]]] = {}
    for point in evaluation_curves(results, study.metric).itertuples():
        steps = curves.setdefault(keys[point.trial], {})
        steps.setdefault(point.step, {})[point.seed] = point.value
    whole = study.built_in.train.steps
    write_task(path, RecordedTask(study.metric, study.direction, whole, GRID, curves))
    print(f"wrote {path}: {len(curves)} settings, {path.stat().st_size:,} bytes")


def methods(task: RecordedTask) -> dict[str, dict[str, Any]]:
    """The searches that are compared, by name."""
    looks = sorted(next(iter(task.curves.values())))[1:-1]
    rungs = tuple(looks[:: max(1, len(looks) // 2)])[:2]
    halving = {"early_stopping": Halving(rungs=rungs, keep=1 / 3, bracket=9), "trials": 3 * TRIALS}
    none = {"early_stopping": None}
    return {
        "random": {"sampler": Sampler(name="random"), **none},
        "TPE": {"sampler": Sampler(), **none},
        "TPE, racing": {
            "sampler": Sampler(),
            "early_stopping": EarlyStopping(),
            "trials": 5 * TRIALS // 2,
        },
        "halving, random": {"sampler": Sampler(name="random"), **halving},
        "halving, TPE": {"sampler": Sampler(), **halving},
    }


def regrets(task: RecordedTask, method: Mapping[str, Any], root_seed: int) -> list[float]:
    """The regret at each of `SHARES`."""
    study = Study(
        **{
            **{"name": "replayed", "base": base(), "space": task.choices(), "trials": TRIALS},
            **{"seeds": task.seeds, "metric": task.metric, "root_seed": root_seed, "lag": 0},
            **method,
        }
    )
    whole = TRIALS * task.steps * len(task.seeds)
    found = list(replay(study, task))
    worst = min(fmean(curve[task.steps].values()) for curve in task.curves.values())
    told = []
    for share in SHARES:
        values = [point.value for point in found if point.spent <= share * whole]
        known = [value for value in values if value is not None]
        told.append(task.best - (known[-1] if known else worst))
    return told


def mean_and_half(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and half of its 95 % interval."""
    if len(values) < 2:
        return values[0], math.nan
    low, high = mean_contrast(values).interval()
    return fmean(values), (high - low) / 2


def main() -> None:
    """Record a table, or compare searches on one."""
    command = parser(__doc__, runs=20)
    command.add_argument("--record", type=Path, help="run the grid, and write the table here")
    command.add_argument("--table", type=Path, default=EMBEDDED_TASK, help="a recorded table")
    arguments = command.parse_args()
    if arguments.record:
        record(arguments.record)
        return
    task = read_task(arguments.table)
    print(f"{len(task.curves)} settings, best {task.best:.3f}; regret in points, ± 95 %")
    print(
        f"{'share of ' + str(TRIALS) + ' whole trials':<26}"
        + "".join(f"{s:>14.0%}" for s in SHARES)
    )
    result: dict[str, Any] = {"settings": len(task.curves), "best": task.best, "regret": {}}
    for name, method in methods(task).items():
        runs = [regrets(task, method, seed) for seed in range(arguments.runs)]
        columns = [mean_and_half(column) for column in zip(*runs, strict=True)]
        shown = "".join(f"{100 * m:>8.1f} ± {100 * h:<3.1f}" for m, h in columns)
        print(f"{name:<26}{shown}")
        result["regret"][name] = {
            f"{share:g}": {"mean": m, "half": h}
            for share, (m, h) in zip(SHARES, columns, strict=True)
        }
    write(arguments.json, result)


if __name__ == "__main__":
    main()
