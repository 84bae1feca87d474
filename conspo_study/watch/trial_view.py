"""One trial as plain data for its page, from the files in its folder.

The files are untrusted, and may be written while they are read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from conspo_study.doctor import examine
from conspo_study.results.kept import stored_rollouts
from conspo_study.results.names import CONFIG, INCIDENTS, STEPS
from conspo_study.results.reading import stored_bytes, stored_object
from conspo_study.results.rows import stored_evaluations
from conspo_study.results.table import TrialRow
from conspo_study.results.tail import LineReader
from conspo_study.text import reason
from conspo_study.untrusted import LineTooLong, parse_json
from conspo_study.watch.curves import Curves
from conspo_study.watch.responses import find_responses
from conspo_study.watch.turn import Turn

MOST_INCIDENTS = 1000
"""The most incidents shown of a trial: the latest ones."""
READING_S = 1.0
"""Longest time that one question spends on reading new rows."""
RESPONSES_S = 30.0
"""Longest wait while responses are read for another question, which may take seconds."""


class TrialView:
    """The trial in `folder`; every row of `steps.jsonl` is read once."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._turn, self._responses = Turn(folder), Turn(folder)
        self._steps = Curves()
        self._lines = LineReader(folder / STEPS)
        self._start = self._rows = 0
        self._problem = ""

    def about(self) -> dict[str, Any]:
        """Configuration, incidents, and the (seed, step) pairs with stored responses."""
        with self._turn.taken():
            config, problem = self._object(CONFIG)
            return {
                "config": config.get("config", {}),
                "problem": problem,
                "incidents": self._incidents(),
                "stored": {
                    "training": [list(pair) for pair in stored_rollouts(self.folder)],
                    "evaluation": [list(pair) for pair in stored_evaluations(self.folder)],
                },
            }

    def config(self) -> dict[str, Any]:
        """The whole configuration; empty while it is not there or cannot be read."""
        with self._turn.taken():
            config = self._object(CONFIG)[0].get("config")
            return config if isinstance(config, dict) else {}

    def curves(
        self,
        points: int,
        version: int,
        reported: Curves | None,
        steps: int | None,
        every: int,
        evenly: bool = False,
    ) -> dict[str, Any]:
        """Curves of all metrics: of training from `steps.jsonl`, of evaluations from `reported`.

        version: of the curves that the caller has; none are returned if it is current. steps: of
        the whole run. every: steps between evaluations. points and evenly: see `Curves.shown`.
        """
        with self._turn.taken():
            self._read_steps()
            now = self._rows + (len(reported.steps) if reported else 0)
            answer = {"version": now, "problem": self._problem, "steps": steps, "curves": {}}
            if now == version:
                return answer
            shown = {
                name: self._steps.shown(name, points, None, evenly) for name in self._steps.metrics
            }
            if reported is not None:
                measured = {s for s in reported.steps if s % every == 0 or s == steps}
                for name in reported.metrics:
                    if name.startswith("eval/"):
                        shown[name] = reported.shown(name, points, measured, evenly)
                    elif name not in shown:
                        shown[name] = reported.shown(name, points, None, evenly)
            return answer | {"curves": {name: curve for name, curve in shown.items() if curve}}

    def findings(self, row: TrialRow, metric: str, direction: str) -> list[dict[str, Any]]:
        """What went wrong in the training steps that `curves` has read; see `conspo_study.doctor`.

        metric, direction: the study's.
        """
        with self._turn.taken():
            config, _ = self._object(CONFIG)
            steps = self._steps
            seeds = {seed: partial(steps.points, seed=seed) for seed in steps.seeds}
            stages = config.get("config")
            stages = stages if isinstance(stages, Mapping) else {}
            found = examine(row, seeds, stages, metric, direction)
            return [
                {
                    "name": one.name,
                    "step": one.step,
                    "seeds": one.seeds,
                    "evidence": {str(seed): sign.evidence for seed, sign in one.symptoms.items()},
                    "advice": one.advice,
                }
                for one in found
            ]

    def responses(self, question: Mapping[str, str]) -> dict[str, Any]:
        """A page of the trial's responses; see `find_responses`."""
        with self._responses.taken(RESPONSES_S):
            return find_responses(self.folder, question)

    def _read_steps(self) -> None:
        """Read the new complete lines of `steps.jsonl`; malformed ones are reported and skipped."""
        try:
            lines = list(self._lines.new(READING_S))
        except (OSError, LineTooLong) as error:
            self._problem = f"{STEPS} cannot be read: {reason(error)}"
            return
        if self._start != self._lines.start:
            self._start = self._lines.start
            self._steps, self._rows, self._problem = Curves(), 0, ""
        for line in lines:
            self._rows += 1
            if not line.strip():
                continue
            try:
                row = parse_json(line)
                step, seed = int(row.pop("step")), int(row.pop("seed"))
                self._steps.add(step, seed, row)
            except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
                self._problem = f"line {self._rows} of {STEPS} is malformed and was skipped"

    def _incidents(self) -> list[dict[str, Any]]:
        try:
            lines = stored_bytes(self.folder / INCIDENTS).splitlines()[-MOST_INCIDENTS:]
        except FileNotFoundError:
            return []
        except OSError as error:
            return [{"type": "unreadable", "detail": reason(error), "count": 1}]
        rows = []
        for line in lines:
            try:
                row = parse_json(line)
                rows.append({name: row[name] for name in ("type", "detail", "count")})
            except (ValueError, TypeError, KeyError):
                rows.append({"type": "unreadable", "detail": "a damaged line", "count": 1})
        return rows

    def _object(self, name: str) -> tuple[dict[str, Any], str]:
        """A JSON object in the folder, and why it cannot be read; empty if it can."""
        try:
            return stored_object(self.folder / name), ""
        except FileNotFoundError:
            return {}, ""
        except (OSError, ValueError) as error:
            return {}, f"{name} cannot be read: {reason(error)}"
