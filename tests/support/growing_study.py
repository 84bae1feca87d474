"""A results directory that grows as that of a running study, one call at a time."""

import json

from study_fixtures import METRIC, TAU, definition

from conspo_study.records import EvalRow, EventKind, TrialEvent
from conspo_study.results.log import ResultsLog
from conspo_study.results.rows import append_step_row, eval_path, write_eval_rows


class GrowingStudy:
    """A study whose trials have two seeds, four steps and an evaluation every two."""

    def __init__(self, folder):
        self.folder = folder
        study = definition(name="growing")
        stored = {"schema": 1, "name": "growing", "hash": study.hash, "data": {}}
        (folder / "study.json").write_text(
            json.dumps({**stored, "definition": study.frozen()}, indent=1)
        )
        self.base = study.base
        self.log = ResultsLog(folder / "log.jsonl")
        start = {"hash": study.hash, "trials": 6, "resumed": False, "changes": []}
        self.log.append(TrialEvent(EventKind.STUDY_STARTED, data=start))

    def start(self, trial, label=""):
        data = {"params": {TAU: 1.0}, "seeds": [0, 1], "label": label}
        self.log.append(TrialEvent(EventKind.SUGGESTED, trial, data))
        place = self.folder / "trials" / trial
        place.mkdir(parents=True)
        config = {"seeds": [0, 1], "config": self.base.model_dump(mode="json")}
        (place / "config.json").write_text(json.dumps(config))
        self.log.append(TrialEvent(EventKind.STARTED, trial))

    def train(self, trial, step, reward=None):
        for seed in (0, 1):
            row = {"seed": seed, "step": step, "reward": reward or step + seed / 10}
            append_step_row(self.folder / "trials" / trial / "steps.jsonl", row)

    def evaluate(self, trial, step):
        for seed in (0, 1):
            row = EvalRow(seed, step, "chain/hard", "a", 0, "correct", "1", 3, "finished")
            write_eval_rows(eval_path(self.folder / "trials" / trial, seed, step), [row])

    def report(self, trial, step, value):
        seeds = {str(seed): {METRIC: value + seed / 10, "reward": 9.0} for seed in (0, 1)}
        data = {"step": step, "steps": 4, "seeds": seeds}
        self.log.append(TrialEvent(EventKind.REPORTED, trial, data))

    def end(self, trial, kind=EventKind.FINISHED, **data):
        data = data or {"step": 4, "values": {"0": 0.5, "1": 0.6}, "wall_s": 9.0}
        self.log.append(TrialEvent(kind, trial, data))

    def whole_trial(self, trial, label=""):
        """Run a trial from its start to its end."""
        self.start(trial, label)
        for step in range(5):
            if step:
                self.train(trial, step)
            if step % 2 == 0:
                self.evaluate(trial, step)
                self.report(trial, step, step / 10)
        self.end(trial)


WHOLE = [
    (0, {METRIC: 0.0}),
    (1, {"train/reward": 1.0}),
    (2, {"train/reward": 2.0, METRIC: 0.2}),
    (3, {"train/reward": 3.0}),
    (4, {"train/reward": 4.0, METRIC: 0.4}),
]
"""(step, metrics) of seed 0 of a whole trial: a tracker must hold each exactly once."""
