"""Studies that benchmarks run as a user does: a script, a child process, a results directory.

    python benchmarks/study_runs.py --set train.workers=2 --results /tmp/one

As a script it is a study of a single trial, the starting configuration itself on one seed, with the
options of every study script.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from conspo_study.commands.script import main
from conspo_study.config import RunConfig, parse_assignments, with_overrides
from conspo_study.definition import Anchor
from conspo_study.definition.presets import PRESETS
from conspo_study.processes.reaper import MARK, Family
from conspo_study.results.rows import read_steps
from conspo_study.study import Study

ROOT = Path(__file__).resolve().parents[1]
SWEEP = ROOT / "studies" / "margin_sweep.py"
ONE_TRIAL = Path(__file__).resolve()
LIMIT_S = 900.0
"""A study that takes longer is ended."""
_LOOK_S = 0.25
"""Between two looks at the processor time of a study's processes; what a process has used since the
last look before its end is not counted."""


@dataclass(frozen=True, slots=True)
class StudyRun:
    """What a study has left."""

    folder: Path
    wall_s: float
    """From the command to its end, reports included."""
    cpu_s: float
    """Processor seconds of all its processes, those of Ray included."""


def run_study(
    script: Path,
    results: Path,
    settings: Sequence[str],
    arguments: Sequence[str] = (),
    slots: int | None = None,
) -> StudyRun:
    """Run a study in the folder `results`, which it makes, on a Ray of its own.

    settings: as of `--set`. arguments: further ones. slots: CPU cores that Ray may give to workers,
    by default all. Raises RuntimeError with the end of its output when the study fails, and
    TimeoutExpired when it takes longer than `LIMIT_S`.
    """
    sets = [text for setting in settings for text in ("--set", setting)]
    command = [sys.executable, str(script), "--results", str(results), *sets, *arguments]
    mark = uuid.uuid4().hex
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    ours = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment = {**ours, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", MARK: mark}
    if slots is not None:
        environment["RAY_OVERRIDE_RESOURCES"] = json.dumps({"CPU": slots})
    results.mkdir(parents=True)
    output = results / "output.txt"
    start = time.perf_counter()
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment)
        meter = _Meter(mark)
        try:
            status = process.wait(LIMIT_S)
        except BaseException:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)
            process.kill()
            raise
        finally:
            cpu_s = meter.stop()
    wall_s = time.perf_counter() - start
    if status:
        said = output.read_text("utf-8", "replace")[-2000:]
        raise RuntimeError(f"{' '.join(command)} ended with status {status}:\n{said}")
    (folder,) = (path.parent for path in results.glob("*/study.json"))
    return StudyRun(folder, wall_s, cpu_s)


class _Meter:
    """The processor time of all descendants of a marked process, until it is stopped."""

    def __init__(self, mark: str):
        self._family, self._seconds = Family(mark), dict[tuple[int, str], float]()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """End, and return the sum."""
        self._ended.set()
        self._thread.join()
        return sum(self._seconds.values())

    def _watch(self) -> None:
        ticks = os.sysconf("SC_CLK_TCK")
        while not self._ended.wait(_LOOK_S):
            for pid, start in self._family.look():
                with suppress(OSError, IndexError):
                    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                    if stat[19] == start:
                        self._seconds[pid, start] = (int(stat[11]) + int(stat[12])) / ticks


def step_seconds(trial: Path) -> dict[int, list[float]]:
    """By seed, the seconds of each training step of a trial's folder, in order.

    Without evaluations, checkpoints and reports: a step's tokens over its tokens per second.
    """
    found: dict[int, list[float]] = {}
    for row in read_steps(trial / "steps.jsonl"):
        found.setdefault(row["seed"], []).append(row["tokens"] / row["tokens_per_s"])
    return found


def starting_configuration(settings: Sequence[str]) -> RunConfig:
    """The one that a study script makes of these `--set`."""
    return with_overrides(PRESETS["embedded"], parse_assignments(settings))


def prepare(settings: Sequence[str]) -> None:
    """Make or find the warm-started policy now, so that no study is charged for it."""
    from conspo_study.training.prepare import prepare_policy

    prepare_policy(starting_configuration(settings).policy)


def one_trial(base: RunConfig) -> Study:
    """A study of `base` itself."""
    return Study(
        name="one_trial",
        base=base,
        space={},
        anchors=(Anchor(label="as configured", params={}),),
        trials=1,
        seeds=(0,),
        metric=base.evaluation.main_metric,
    )


def _no_report(_: Path) -> None:
    """Nothing is asked of these studies but their files."""


if __name__ == "__main__":
    raise SystemExit(main(one_trial, __doc__, report=_no_report))
