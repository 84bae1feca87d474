"""Results directories of maps, made up: accuracies by objective, E and learning rate, with noise of
seeds and problems that all cells share."""

import json
import math
from functools import cache

import numpy as np
from stored_answers import write_answers
from study_shapes import write_log

from conspo_study.config import with_overrides
from conspo_study.definition import Anchor, Confirmation, StudyDefinition
from conspo_study.definition.presets import EMBEDDED
from conspo_study.records import EventKind, TrialEvent
from conspo_study.results.strata import strata_of
from conspo_study.results.table import build_table

RATE, BATCHES = "update.learning_rate", "update.mini_batches"
METRIC = "eval/chain/hard/avg@2"
STEPS, SAMPLES, UNTRAINED = 4, 2, 0.19
BASE = with_overrides(
    EMBEDDED,
    {
        **{"train.steps": STEPS, "evaluation.every": STEPS, "evaluation.samples": SAMPLES},
        "evaluation.sets": ("chain/hard",),
        "evaluation.greedy": False,
    },
)
OBJECTIVES = {
    "linear": {"objective.name": "conspo_linear"},
    "GRPO": {"objective.name": "grpo"},
    "ConSPO tau 1": {
        "objective.name": "conspo",
        "objective.tau": 1.0,
        "objective.schedule": "off",
    },
}


def points(objectives=None, steps=(1, 4), rates=(1e-4, 3e-4)):
    """Anchors by objective, E and rate."""
    return tuple(
        Anchor(label=f"{name}, E{e}, lr {rate:g}", params={**settings, BATCHES: e, RATE: rate})
        for e in steps
        for name, settings in (objectives or OBJECTIVES).items()
        for rate in rates
    )


def small(anchors=None, **changes):
    """The definition of a map."""
    anchors = points() if anchors is None else anchors
    fields = {
        "name": "map",
        "base": BASE,
        "anchors": anchors,
        "trials": len(anchors),
        "seeds": (0, 1),
        "metric": METRIC,
        "early_stopping": None,
        "confirm": Confirmation(seeds=(100, 101, 102, 103), best_over=(RATE,)),
    }
    return StudyDefinition(**{**fields, **changes})


def write_map(folder, study, level, problems=20, angle=None, unfinished=()):
    """Write what the study would have measured.

    level: accuracy of an anchor's label, as a function of it and the seed. angle: degrees by label;
    None logs none. unfinished: labels whose trials failed.
    """
    (folder / "trials").mkdir(parents=True)
    stored = {"schema": 1, "name": study.name, "hash": study.hash, "data": {"chain/hard": "0" * 12}}
    frozen = {**stored, "definition": study.frozen()}
    (folder / "study.json").write_text(json.dumps(frozen), "utf-8")
    start = {"hash": study.hash, "trials": study.trials, "resumed": False, "changes": []}
    events = [TrialEvent(EventKind.STUDY_STARTED, data=start)]
    for number, anchor in enumerate(study.anchors):
        failed = anchor.label in unfinished
        events += _trial(
            folder, study, f"t{number:04d}", anchor, study.seeds, "", level, problems, angle, failed
        )
    write_log(folder / "log.jsonl", events)
    if study.confirm is not None:
        rows = build_table(_logged(events)).rows
        by_label = {anchor.label: anchor for anchor in study.anchors}
        for number, stratum in enumerate(strata_of(rows, study.confirm.best_over)):
            best = stratum.winner(study.direction)
            if best is not None:
                events += _trial(
                    *(folder, study, f"c{number:04d}", by_label[best.label], study.confirm.seeds),
                    *(best.id, level, problems, angle, False),
                )
    events.append(TrialEvent(EventKind.STUDY_FINISHED))
    write_log(folder / "log.jsonl", events)
    return folder


def _logged(events):
    from conspo_study.results.lines import encode_line

    return [
        encode_line(number, "2026-01-01T00:00:00.000Z", event)[1]
        for number, event in enumerate(events, start=1)
    ]


def _trial(folder, study, trial, anchor, seeds, of, level, problems, angle, failed):
    role = {"role": "confirmation", "of": of} if of else {"role": "search"}
    suggestion = {"params": anchor.params, "seeds": list(seeds), "label": anchor.label, **role}
    yield TrialEvent(EventKind.SUGGESTED, trial, {**suggestion, "config_hash": trial})
    yield TrialEvent(EventKind.STARTED, trial)
    if failed:
        yield TrialEvent(EventKind.FAILED, trial, {"cause": "diverged", "step": 1})
        return
    own = folder / "trials" / trial
    own.mkdir()
    split = {"evaluation.split": "test"} if of else {}
    config = with_overrides(study.base, {**anchor.params, **split}).model_dump(mode="json")
    written = {"seeds": list(seeds), "label": anchor.label, "config": config}
    (own / "config.json").write_text(json.dumps(written), "utf-8")
    values = {str(s): _answer(own, s, level(anchor.label, s), problems, bool(of)) for s in seeds}
    before = {str(seed): {study.metric: UNTRAINED} for seed in seeds}
    yield TrialEvent(EventKind.REPORTED, trial, {"step": 0, "steps": STEPS, "seeds": before})
    if angle is not None and of:
        lines = [
            json.dumps({"seed": seed, "step": step, "credit_angle": angle(anchor.label)}) + "\n"
            for seed in seeds
            for step in range(1, STEPS + 1)
        ]
        (own / "steps.jsonl").write_text("".join(lines), "utf-8")
    yield TrialEvent(EventKind.FINISHED, trial, {"step": STEPS, "values": values, "wall_s": 9.0})


def _answer(own, seed, level, problems, stored):
    """The accuracy of a seed; its responses are written where they count."""
    easy, luck = _task(seed, problems)
    logit = math.log(max(level, 1e-9) / max(1 - level, 1e-9))
    chance = 1 / (1 + np.exp(-(logit + easy)))
    right = luck < chance[:, None]
    return write_answers(own, seed, STEPS, right) if stored else float(right.mean())


@cache
def _task(seed, problems):
    """Ease of the problems, and the luck of a seed at them: the same for all cells."""
    easy = np.random.default_rng(0).normal(0, 0.6, problems)
    return easy, np.random.default_rng(abs(seed) + 1).random((problems, SAMPLES))
