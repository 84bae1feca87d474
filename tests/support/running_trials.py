"""Trials that run through Ray in a process of their own while a test kills or freezes parts."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from studies_under_fire import wait_for
from trials_under_fire import request

from conspo_study.processes.reaper import MARK

RUNNER = Path(__file__).with_name("trial_runner.py")
LIMIT_S = 600
WORKER = "ray::RayTrainWorker"


class TrialRunner:
    """`trial_runner.py`: a Ray on which trials run one after another.

    folder: for its output. environment: further variables of all its processes.
    """

    def __init__(self, folder, **environment):
        self._marker = f"CONSPO_TEST={folder}"
        self._output = folder / "output"
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(RUNNER)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                env={**os.environ, "CONSPO_TEST": str(folder), **environment},
            )

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        """End Ray in order; all of its processes must be gone then."""
        try:
            self.process.stdin.close()
            self.process.wait(timeout=60)
        finally:
            self.process.kill()
        if kind is None:
            assert self.process.returncode == 0, self.output()[-3000:]
            wait_for(lambda: not self.processes(), 60, "the end of all processes of the trials")

    def start(self, spec, slow_s=0.0):
        """Begin a trial, when the workers of the one before it are gone."""
        wait_for(lambda: not self.processes(WORKER), 60, "the end of the last trial's workers")
        trial = Trial(self, spec, len(self.output()))
        self.process.stdin.write(request(spec, slow_s))
        self.process.stdin.flush()
        return trial

    def output(self):
        """Everything printed so far."""
        return self._output.read_text()

    def processes(self, title=""):
        """Ids of the processes whose title holds `title`, without the driver."""
        matching = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                variables = (path / "environ").read_bytes().split(b"\0")
                command = (path / "cmdline").read_bytes().decode()
                state = (path / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            marked = any(name.startswith(f"{MARK}=".encode()) for name in variables)
            if marked and self._marker.encode() in variables and title in command and state != "Z":
                matching.append(int(path.name))
        return matching


class Trial:
    """A trial that a runner has begun."""

    def __init__(self, runner, spec, offset):
        self.runner, self.spec, self._offset = runner, spec, offset

    def rows(self):
        """Lines of `steps.jsonl`, repeated steps included."""
        steps = self.spec.folder / "steps.jsonl"
        return steps.read_bytes().count(b"\n") if steps.exists() else 0

    def wait_for_worker(self, rows, other_than=()):
        """The process id of the Train worker, once `steps.jsonl` has this many lines."""

        def worker():
            assert not self._has_ended(), f"ended before its worker: {self._output()[-3000:]}"
            if self.rows() < rows:
                return None
            return [p for p in self.runner.processes(WORKER) if p not in other_than]

        return wait_for(worker, LIMIT_S, f"a worker with {rows} rows")[0]

    def kill_worker_while(self, path_exists, rows):
        """Kill the Train worker at a moment at which `path_exists()`, after this many rows."""
        worker = self.wait_for_worker(rows)
        deadline = time.monotonic() + LIMIT_S
        while True:
            while not path_exists():
                assert time.monotonic() < deadline
            os.kill(worker, signal.SIGSTOP)
            if path_exists():  # and it stays so
                os.kill(worker, signal.SIGKILL)
                return
            os.kill(worker, signal.SIGCONT)

    def reports(self):
        """All reports up to the end of the trial."""
        wait_for(self._has_ended, LIMIT_S, "the end of the trial")
        *reports, end = self._lines()
        assert end == {"ended": ""}, self._output()[-3000:]
        return reports

    def _has_ended(self):
        assert self.runner.process.poll() is None, self._output()[-3000:]
        return any("ended" in line for line in self._lines())

    def _lines(self):
        """What the runner printed; Ray says on the same stream what died."""
        lines = self._output().split("\n")[:-1]  # the last one may still be written
        return [json.loads(line) for line in lines if line.startswith("{")]

    def _output(self):
        return self.runner.output()[self._offset :]
