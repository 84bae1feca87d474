"""Results directories of studies whose settings learn along known curves, written without Ray."""

import json
from dataclasses import dataclass, field

import numpy as np
from stored_answers import write_answers
from study_shapes import write_log

from conspo_study.records import EventKind, TrialEvent
from conspo_study.results.rows import append_step_row

METRIC = "eval/chain/hard/avg@4"
SAMPLES = 4


@dataclass(frozen=True)
class Learner:
    """A setting, by the curve that its seeds scatter about."""

    label: str
    top: float = 0.7
    middle: float = 20.0
    steepness: float = 1.7
    start: float = 0.2
    tokens: float = 100.0
    """Of each step."""
    end: str = "finished"
    shape: object = None
    """Level by step, in place of the curve."""
    logged: dict = field(default_factory=dict)
    """Further metrics of every step."""
    seeds: tuple = ()
    """By default those of the study."""
    of: str = ""
    config: dict = field(default_factory=dict)

    def level(self, step):
        if self.shape is not None:
            return self.shape(step)
        return self.start + (self.top - self.start) / (1 + (self.middle / step) ** self.steepness)


def write_curves(
    folder,
    learners,
    *,
    seeds=range(5),
    steps=80,
    every=8,
    problems=0,
    final_problems=0,
    noise=0.004,
    metric=METRIC,
    collapsed=(),
    **definition,
):
    """Write the study.

    problems: stored responses to so many, or the values alone; final_problems: to so many more in
    the last evaluation. noise: between seeds, of A and of every evaluation. collapsed: (label,
    seed, step) of seeds whose training ends there.
    """
    (folder / "trials").mkdir(parents=True)
    declared = {"metric": metric, "seeds": list(seeds), "trials": len(learners), **definition}
    stored = {"schema": 1, "name": folder.name, "hash": "0123456789ab", "definition": declared}
    (folder / "study.json").write_text(json.dumps(stored))
    (folder / "snapshot.json").write_text("{}")
    events = [
        TrialEvent(EventKind.STUDY_STARTED, data={"hash": "0123456789ab", "resumed": False}),
    ]
    counts = {"t": 0, "c": 0}
    for one in learners:
        kind = "c" if one.of else "t"
        trial, counts[kind] = f"{kind}{counts[kind]:04d}", counts[kind] + 1
        ends = {seed: step for label, seed, step in collapsed if label == one.label}
        own = tuple(one.seeds or seeds)
        asked = {step: problems + final_problems * (step == steps) for step in range(steps + 1)}
        events += _trial(folder, trial, one, own, steps, every, asked, noise, metric, ends)
    events.append(TrialEvent(EventKind.STUDY_FINISHED))
    write_log(folder / "log.jsonl", events)
    return folder


def _trial(folder, trial, one, seeds, steps, every, problems, noise, metric, ends):
    suggestion = {"params": {"objective.name": "grpo"}, "seeds": list(seeds), "label": one.label}
    role = {"role": "confirmation", "of": one.of} if one.of else {}
    yield TrialEvent(EventKind.SUGGESTED, trial, {**suggestion, **role, "config_hash": trial})
    yield TrialEvent(EventKind.STARTED, trial)
    own = folder / "trials" / trial
    own.mkdir()
    config = {
        "train": {"steps": steps, "workers": 1, "gpus_per_worker": 0},
        "evaluation": {"every": every, "split": "test" if one.of else "dev"},
        "objective": {"name": "grpo"},
        **one.config,
    }
    written = {"seeds": list(seeds), "label": one.label, "config": config}
    (own / "config.json").write_text(json.dumps(written))
    rng = np.random.default_rng([1, int(trial[1:])])
    lifts = {seed: 1 + noise * rng.normal() / max(one.top - one.start, 0.1) for seed in seeds}
    latest = {}
    for step in range(steps + 1):
        for seed in seeds:
            if step and step <= ends.get(seed, steps):
                # Seeds differ in what they spend.
                row = {"tokens": one.tokens * (1 + 0.01 * seed), "time/generate_s": 2.0}
                row |= {"time/other_s": 1.0, **one.logged}
                append_step_row(own / "steps.jsonl", {"seed": seed, "step": step, **row})
            if step % every == 0:
                level = one.start
                if step:
                    gained = lifts[seed] * (one.level(step) - one.start) + noise * rng.normal()
                    level = one.start + gained
                level = 0.0 if step >= ends.get(seed, steps + 1) else level
                if problems[step]:
                    level = _answers(own, seed, step, level, problems[step])
                latest[str(seed)] = {metric: level}
        if step % every == 0 or step % 5 == 0:
            report = {"step": step, "steps": steps, "seeds": json.loads(json.dumps(latest))}
            told = {str(s): {"step": n, "cause": "diverged"} for s, n in ends.items() if n <= step}
            yield TrialEvent(
                EventKind.REPORTED, trial, report | ({"collapsed": told} if told else {})
            )
    values = {seed: metrics[metric] for seed, metrics in latest.items()}
    end = {"step": steps, "values": values, "wall_s": 9.0}
    told = {str(s): {"step": n, "cause": "diverged"} for s, n in ends.items()}
    end |= {"collapsed": told} if told else {}
    if one.end == "failed":
        yield TrialEvent(EventKind.FAILED, trial, {"cause": "no memory", "step": steps})
    elif one.end != "running":
        yield TrialEvent(EventKind(one.end), trial, end)


def _answers(own, seed, step, level, problems):
    """Stored responses with about this accuracy, and the accuracy that they have."""
    ease = np.random.default_rng(0).normal(0, 0.8, problems)
    logit = np.log(level / (1 - level)) * 1.1
    luck = np.random.default_rng([seed, 3]).random((problems, SAMPLES))
    right = luck < 1 / (1 + np.exp(-(logit + ease)))[:, None]
    return write_answers(own, seed, step, right)
