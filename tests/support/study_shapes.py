"""Results directories of every shape that a study can have or be left in, written without Ray."""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from study_fixtures import MARGIN, SCHEDULE, TAU, definition

from conspo_study.config import with_overrides
from conspo_study.definition import Aim, Anchor, Confirmation, StudyDefinition
from conspo_study.definition.space import Choice, Range, When
from conspo_study.records import EvalRow, EventKind, TrialEvent, set_name
from conspo_study.results.lines import encode_line
from conspo_study.results.rows import eval_path, write_eval_rows

RATE, GROUP, AHEAD = "update.learning_rate", "rollout.group_size", "rollout.ahead"
CAP, TARGETS = "update.importance_cap", "policy.lora_targets"
STEPS, EVERY = 4, 2
CAUSE = "1 problem in the configuration:\n  unknown objective 'gap_hinge'\n  import its module"
NO_SPACE: dict[str, Any] = {"space": {}, "early_stopping": None}
BASE = definition().base


@dataclass(frozen=True)
class Run:
    """A trial as it stands in the log, and how its files look."""

    params: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    end: str = "finished"
    """Or pruned, failed, running, waiting."""
    value: float = 0.5
    """Of seed 0; each further seed has a hundredth more."""
    of: str = ""
    """The search trial that this run confirms."""
    seeds: Sequence[int] | None = None
    """By default those of the study."""
    valued: Sequence[int] | None = None
    """Seeds that have a value in the end; by default all."""


@dataclass(frozen=True)
class Shape:
    """A study and what came of it."""

    study: StudyDefinition
    runs: Sequence[Run]
    finished: bool = True
    stored: Mapping[str, Any] = field(default_factory=dict)
    """Changes to the definition in `study.json` that a trial's configuration need not allow."""
    extra: Mapping[str, float] = field(default_factory=dict)
    """Further metrics of every training step."""

    @property
    def searched(self) -> list[Run]:
        """The runs that are no confirmations."""
        return [run for run in self.runs if not run.of]


_written = {}
"""Folder and shape, by the identity of the shape, which stays the same as long as it is here."""


def write_shape(folder, shape):
    """The results directory of a study of this shape, in `folder`. It is made once, and copied."""
    if id(shape) not in _written:
        place = tempfile.TemporaryDirectory()
        _write(Path(place.name) / "study", shape)
        _written[id(shape)] = place, shape
    return shutil.copytree(Path(_written[id(shape)][0].name) / "study", folder)


def _write(folder, shape):
    folder.mkdir(parents=True)
    study = shape.study
    frozen = {**study.frozen(), **shape.stored}
    data = dict.fromkeys(map(set_name, study.base.evaluation.sets), "0" * 12)
    stored = {"schema": 1, "name": study.name, "hash": study.hash, "data": data}
    (folder / "study.json").write_text(json.dumps({**stored, "definition": frozen}), "utf-8")
    start = {"hash": study.hash, "trials": study.trials, "resumed": False, "changes": []}
    events = [TrialEvent(EventKind.STUDY_STARTED, data=start)]
    ids = {}
    for run in shape.runs:
        kind = "c" if run.of else "t"
        number = sum(trial[0] == kind for trial in ids)
        ids[f"{kind}{number:04d}"] = run
    for trial, run in ids.items():
        events += _events(folder / "trials" / trial, trial, run, shape)
    if shape.finished:
        events.append(TrialEvent(EventKind.STUDY_FINISHED))
    write_log(folder / "log.jsonl", events)


def write_log(path, events):
    """A log of these events, all at once."""
    lines = [
        encode_line(number, f"2026-01-01T00:00:{number % 60:02d}.000Z", event)[0]
        for number, event in enumerate(events, start=1)
    ]
    path.write_bytes(b"".join(lines))


def _events(own, trial, run, shape):
    study, metric = shape.study, shape.study.metric
    seeds = list(run.seeds or study.seeds)
    suggestion = {"params": dict(run.params), "seeds": seeds, "label": run.label}
    role = {"role": "confirmation", "of": run.of} if run.of else {}
    digest = {"config_hash": f"{trial}-{len(run.params)}"}
    yield TrialEvent(EventKind.SUGGESTED, trial, {**suggestion, **role, **digest})
    if run.end == "waiting":
        return
    config = with_overrides(study.base, _possible(study.base, run.params)).model_dump(mode="json")
    if run.params.get("objective.name", "conspo") != "conspo":
        config["objective"] = {}
    for path, value in run.params.items():
        stage, _, name = path.partition(".")
        config[stage][name] = value
    config["evaluation"]["split"] = "test" if run.of else "dev"
    own.mkdir(parents=True)
    written = {"seeds": seeds, "label": run.label, "config": config}
    (own / "config.json").write_text(json.dumps(written), "utf-8")
    yield TrialEvent(EventKind.STARTED, trial)
    last = {"failed": 1, "running": 2, "pruned": 2}.get(run.end, STEPS)
    rows = []
    for step in range(last + 1):
        found = {}
        for seed in seeds:
            level = run.value + seed / 100
            found[str(seed)] = {"reward": level, "response_length": 9.0 - step, **shape.extra}
            if step:
                rows.append(json.dumps({"seed": seed, "step": step, **found[str(seed)]}))
            measured = [f"eval/{name}/avg@2" for name in map(set_name, study.base.evaluation.sets)]
            found[str(seed)] |= dict.fromkeys([*measured, metric], level * step / STEPS)
            if step % EVERY == 0:
                _evaluate(own, study, seed, step, level)
        report = {"step": step, "steps": STEPS, "seeds": found, "tokens_per_s": 100.0}
        yield TrialEvent(EventKind.REPORTED, trial, report)
    (own / "steps.jsonl").write_text("".join(row + "\n" for row in rows), "utf-8")
    valued = seeds if run.valued is None else run.valued
    values = {str(seed): run.value + seed / 100 for seed in valued}
    if run.end == "failed":
        yield TrialEvent(EventKind.FAILED, trial, {"cause": CAUSE, "step": last})
    elif run.end != "running":
        also = {aim.metric: dict.fromkeys(values, 7.0 - run.value) for aim in study.also}
        end = {"step": last, "values": values, "also": also, "wall_s": 9.0}
        yield TrialEvent(EventKind(run.end), trial, end)


def _evaluate(own, study, seed, step, level):
    rows = [
        EvalRow(seed, step, name, f"p{problem}", sample, verdict, "17", 9, "stopped")
        for name in study.base.evaluation.tracked_sets
        for problem in range(2)
        for sample in (-1, 0, 1)
        for verdict in ["correct" if (problem + sample) % 2 or level > 0.6 else "wrong"]
    ]
    write_eval_rows(eval_path(own, seed, step), rows)


def _possible(base, params):
    """The settings that a configuration allows; files may hold any."""
    try:
        with_overrides(base, params)
    except ValueError:
        return {}
    return params


def over(path, *values, **changes):
    """A run for each value of one setting, each better than the one before."""
    return [
        Run({path: value}, value=0.3 + 0.05 * number, **changes)
        for number, value in enumerate(values)
    ]


def anchored(*names, **changes):
    """A study of anchors alone, which differ in tau."""
    anchors = tuple(Anchor(label=n, params={TAU: 0.5 + i}) for i, n in enumerate(names))
    fields = {**NO_SPACE, "anchors": anchors, "trials": len(anchors), **changes}
    runs = [
        Run(anchor.params, anchor.label, value=0.4 + 0.1 * i) for i, anchor in enumerate(anchors)
    ]
    return definition(**fields), runs


def searching(space, runs, **changes):
    """A study without anchors that has searched `space`."""
    fields = {"space": space, "anchors": (), "trials": max(1, len(runs)), **changes}
    return Shape(definition(**fields), runs)


def measured_on(entry):
    """A study by a set that is written so."""
    name = set_name(entry)
    sets = {"evaluation.sets": (entry, "chain/ood"), "evaluation.tracked": (name, "chain/ood")}
    study, runs = anchored("a", "b", base=with_overrides(BASE, sets), metric=f"eval/{name}/avg@2")
    return Shape(study, runs)


def objective_called(name, *options):
    """A study whose trials have an objective that this package does not know, with a value each of
    its options."""
    study, runs = anchored("a", "b")
    others = [
        Run({"objective.name": name, **values}, value=0.1 * number)
        for number, values in enumerate(options or [{"objective.gap": 0.1}, {"objective.gap": 0.2}])
    ]
    return Shape(study, [*runs, *others])


def ended(*ends, **changes):
    """Trials over two settings that came to these ends."""
    runs = [
        Run({TAU: 0.5 + number, MARGIN: float(number % 2)}, end=end, value=0.3 + 0.1 * number)
        for number, end in enumerate(ends)
    ]
    space = {TAU: Range(low=0.1, high=30.0), MARGIN: Choice(values=(0.0, 1.0))}
    return searching(space, runs, **changes)


def confirmed(*ends):
    """A study whose winner was confirmed with these ends, of itself and then of its anchor."""
    study, runs = anchored("a", "b", confirm=Confirmation(seeds=(5, 6, 7)))
    again = [
        Run(runs[1 - index].params, runs[1 - index].label, end, of=f"t000{1 - index}", seeds=(5, 6))
        for index, end in enumerate(ends)
    ]
    return Shape(study, [*runs, *again], finished=len(ends) == 2)


def _mixed():
    space = {
        TAU: Range(low=0.1, high=10.0, log=True),
        MARGIN: Choice(values=(0.0, 1.0)),
        SCHEDULE: Choice(values=("cosine", "linear"), when=When(path=MARGIN, values=(1.0,))),
        RATE: Range(low=1e-5, high=1e-3, log=True),
        AHEAD: Choice(values=(True, False)),
    }
    runs = [
        Run(
            {
                TAU: 0.1 * 1.5**number,
                MARGIN: float(number % 2),
                **({SCHEDULE: ("cosine", "linear")[number // 2 % 2]} if number % 2 else {}),
                RATE: 1e-5 * (number + 1),
                AHEAD: number % 3 == 0,
            },
            value=0.2 + 0.03 * (number * 7 % 11),
        )
        for number in range(10)
    ]
    return searching(space, runs)


def _listed(path, *values):
    """Choices of values that JSON can hold; `stored` since not all are of a space's type."""
    study = definition(space={TAU: Choice(values=(0.1, 1.0))}, anchors=(), trials=len(values))
    space = {path: {"kind": "choice", "values": list(values), "when": None}}
    return Shape(study, over(path, *values), stored={"space": space})


@cache
def shapes() -> dict[str, Shape]:
    """All shapes, by name."""
    nothing = definition(space={}, anchors=(Anchor(label="a", params={}),), trials=1)
    two, few = anchored("a", "b"), (0.1, 0.3, 1.0, 3.0)
    long = "a label of more than a hundred characters, " * 4
    # As studies/temperature_sweep.py: one setting differs between anchors, there is no margin.
    sweep = [
        Run({TAU: tau, SCHEDULE: "off"}, f"tau {tau:g}", value=0.3 + 0.05 * number)
        for number, tau in enumerate((0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0))
    ]
    labels = tuple(Anchor(label=run.label, params=dict(run.params)) for run in sweep)
    return {
        "one varying setting, anchors": Shape(
            definition(**NO_SPACE, anchors=labels, trials=len(labels)), sweep
        ),
        "one varying setting, tau": searching(
            {TAU: Choice(values=few)}, over(TAU, *few, 5.0, 7.0, 8.0, 9.0)
        ),
        "one varying setting, margin": searching(
            {MARGIN: Choice(values=few)}, over(MARGIN, 0.0, *few)
        ),
        "one varying setting, schedule": searching(
            {SCHEDULE: Choice(values=("cosine", "linear", "constant", "off"))},
            over(SCHEDULE, *("cosine", "linear", "constant", "off") * 2),
        ),
        "one varying setting, alpha": searching(
            {"objective.alpha": Range(low=0.1, high=0.9)}, over("objective.alpha", *few)
        ),
        "one varying setting, a rate": searching(
            {RATE: Range(low=1e-5, high=1.0)}, over(RATE, *few)
        ),
        "one varying setting, a group size": searching(
            {GROUP: Choice(values=(2, 4, 8))}, over(GROUP, 2, 4, 8, 4)
        ),
        "nothing varies": Shape(nothing, [Run(label="a")]),
        "identical settings": searching({TAU: Choice(values=few)}, over(TAU, *[1.0] * 9)),
        "equal values": searching({TAU: Choice(values=few)}, [Run({TAU: tau}) for tau in few * 3]),
        "zero values": searching(
            {TAU: Choice(values=few)}, [Run({TAU: tau}, value=0.0) for tau in few * 2], seeds=(0,)
        ),
        "mixed space": _mixed(),
        "choices of booleans": _listed(AHEAD, True, False, True, False),
        "choices with null": _listed(CAP, None, 2.0, 5.0, None, 2.0, None, 9.0, 3.0),
        "choices of all types": _listed(CAP, None, True, 2, "none", 0.5, "2", False, "absent"),
        "choices of lists": _listed(TARGETS, ["a", "b"], ["a"], ["b", "a"], ["a"], "all"),
        "one trial": ended("finished"),
        "one trial, one seed": ended("finished", seeds=(0,)),
        "two trials": ended("finished", "finished"),
        "five trials, one seed": ended(*["finished"] * 5, seeds=(0,)),
        "all failed": ended("failed", "failed", "failed"),
        "all pruned but one": ended("finished", "pruned", "pruned", "pruned", "pruned"),
        "all pruned": ended("pruned", "pruned"),
        "nothing begun": Shape(two[0], [], finished=False),
        "all waiting": Shape(two[0], [Run(end="waiting"), Run(end="waiting")], finished=False),
        "interrupted": Shape(
            definition(trials=8),
            [*ended("finished", "running", "waiting", "failed", "running").runs],
            finished=False,
        ),
        "a failed anchor": Shape(two[0], [Run({TAU: 0.5}, "a", "failed"), two[1][1]]),
        "a seed is missing": Shape(two[0], [two[1][0], Run({TAU: 1.5}, "b", valued=(0,))]),
        "confirmed": confirmed("finished", "finished"),
        "confirmation failed": confirmed("failed", "failed"),
        "winner confirmed, anchor failed": confirmed("finished", "failed"),
        "winner's confirmation runs": confirmed("running"),
        "confirmation missing": confirmed(),
        "set with blanks": measured_on("my set.jsonl"),
        "set with a long path": measured_on("/srv/" + "somebody/evaluation/" * 8 + "final.jsonl"),
        "set with a name": measured_on("mine & ours=/srv/sets/final-{split}.jsonl"),
        "set with markup": measured_on("1%_&$x|{y}<b>#^~\\[z]*"),
        "set with unicode": measured_on("Prüfung/数学 ± µ 🙂"),
        "long labels": Shape(*anchored(long, long + "too")),
        "labels like ids": Shape(*anchored("t0001", "t0000", "c0000")),
        "labels with markup": Shape(*anchored("=cmd|' /C'!A0", "$x_1$ & <b>%", "τ ± \\input{x}")),
        "a registered objective": objective_called("gap_hinge"),
        "an imported objective": objective_called("my_pkg.losses:GapHinge"),
        "an objective with options of our names": objective_called(
            "sided",
            *(
                {TAU: tau, MARGIN: margin, SCHEDULE: schedule, "objective.alpha": alpha}
                for tau, margin, schedule, alpha in (
                    ("auto", "wide", 3, None),
                    (None, 0.5, None, "slow"),
                    (True, [1, 2], ["a"], True),
                    (0.5, 0.25, "cosine", 0.1),
                )
            ),
        ),
        "several objectives": Shape(
            definition(
                **NO_SPACE,
                anchors=two[0].anchors,
                trials=2,
                also=(Aim(metric="response_length", direction="min"),),
            ),
            two[1],
        ),
        "less is better": Shape(two[0].model_copy(update={"direction": "min"}), two[1]),
        "all metrics": Shape(
            *anchored("a", "b"),
            extra={
                "entropy": 0.4,
                "score_positive": -0.3,
                "score_negative": -0.5,
                "score_gap": 0.2,
                "margin": 0.1,
                "grpo_identity_gap": 0.0,
                "valid_fraction": 0.5,
            },
        ),
    }
