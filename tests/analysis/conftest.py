"""A synthetic study with the numbers of the embedded task: small tau fails, a margin rescues it."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from unwritten_figures import drawn

from analysis.figures import gallery
from conspo_study.config import RunConfig, with_overrides
from conspo_study.files import write_json_atomic
from conspo_study.records import EvalRow, EventKind, TrialEvent
from conspo_study.results.log import ResultsLog
from conspo_study.results.rows import append_step_row, eval_path, write_eval_rows

METRIC = "eval/chain/hard/avg@8"
START = {"easy": 0.34, "medium": 0.30, "hard": 0.18, "ood": 0.11}
FINAL_BY_TAU = {0.1: 0.19, 0.3: 0.69, 1.0: 0.75, 10.0: 0.69}
GAIN_OF_RATIO = {0.0: 0.0, 0.001: 0.0, 1.0: 0.3, 5.0: 0.8, 20.0: 0.85}


@dataclass
class Trial:
    tau: float
    ratio: float
    schedule: str = "cosine"
    label: str = ""
    end: str = "finished"
    params: dict[str, Any] = field(default_factory=dict)
    collapses: dict[int, int] = field(default_factory=dict)
    """Seed -> the step at which it collapsed; its answers are wrong from then on."""

    def hard(self) -> float:
        """Mean final accuracy: a margin closes part of the distance to what any tau can reach."""
        floor = FINAL_BY_TAU[self.tau]
        return floor + GAIN_OF_RATIO[self.ratio] * max(0.0, 0.71 - floor) + 0.002 * self.ratio


def sweep() -> list[Trial]:
    trials = [Trial(10.0, 0.001, label="paper")]
    for tau in (0.1, 0.3, 1.0):
        trials.append(Trial(tau, 0.0, schedule="off", end="pruned" if tau == 0.1 else "finished"))
        trials += [Trial(tau, ratio) for ratio in (1.0, 5.0, 20.0)]
    trials.append(Trial(0.1, 5.0, schedule="constant"))
    trials.append(Trial(1.0, 5.0, schedule="constant", end="pruned"))
    trials.append(Trial(0.3, 20.0, schedule="constant", end="failed"))
    return trials


def write_study(
    folder: Path,
    trials: Sequence[Trial],
    *,
    seeds: Sequence[int] = (0, 1),
    steps: int = 80,
    every: int = 20,
    problems: int = 2,
    name: str = "margin-sweep",
) -> Path:
    rng = random.Random(0)
    folder.mkdir(parents=True)
    definition = {"metric": METRIC, "seeds": list(seeds), "trials": len(trials)}
    write_json_atomic(
        folder / "study.json",
        {"schema": 1, "name": name, "hash": "0123456789ab", "definition": definition},
    )
    write_json_atomic(folder / "snapshot.json", {"git": {"hash": None, "dirty": None}})
    with ResultsLog(folder / "log.jsonl") as log:
        hello = {"hash": "0123456789ab", "resumed": False}
        log.append(TrialEvent(EventKind.STUDY_STARTED, data=hello))
        for index, trial in enumerate(trials):
            _write_trial(folder, log, f"t{index:04d}", trial, seeds, steps, every, problems, rng)
    return folder


def _write_trial(
    folder: Path,
    log: ResultsLog,
    trial_id: str,
    trial: Trial,
    seeds: Sequence[int],
    steps: int,
    every: int,
    problems: int,
    rng: random.Random,
) -> None:
    params = {
        "objective.tau": trial.tau,
        "objective.margin": trial.ratio,
        "objective.margin_unit": "tau",
        "objective.schedule": trial.schedule,
        **trial.params,
    }
    config = with_overrides(RunConfig(), {**params, "train.steps": steps}).model_dump(mode="json")
    suggestion = {"params": params, "seeds": list(seeds), "label": trial.label}
    log.append(TrialEvent(EventKind.SUGGESTED, trial_id, {**suggestion, "config_hash": "c0ffee"}))
    if trial.end == "waiting":
        return
    own = folder / "trials" / trial_id
    own.mkdir(parents=True)
    write_json_atomic(own / "config.json", {**suggestion, "config": config})
    log.append(TrialEvent(EventKind.STARTED, trial_id))
    last = {"pruned": steps // 2, "failed": steps // 4, "running": steps // 2}.get(trial.end, steps)
    luck = {seed: rng.gauss(0, 0.012) for seed in seeds}
    latest: dict[int, dict[str, float]] = {seed: {} for seed in seeds}
    for step in range(last + 1):
        reach = (1 - 2.718 ** (-3 * step / steps)) / 0.95
        for seed in seeds:
            gain = trial.hard() + luck[seed] - START["hard"]
            collapsed = step >= trial.collapses.get(seed, last + 1)
            if step and not collapsed:
                reward = min(1.0, max(0.0, 0.33 + 0.9 * gain * reach + rng.gauss(0, 0.03)))
                row = {"reward": reward, "entropy": 0.4 - 0.3 * reach, "response_length": 9.0}
                append_step_row(own / "steps.jsonl", {"seed": seed, "step": step, **row})
                latest[seed] |= row
            if step % every == 0:
                accuracy = {
                    level: start + (gain if level != "ood" else -0.05) * reach
                    for level, start in START.items()
                }
                accuracy = dict.fromkeys(accuracy, 0.0) if collapsed else accuracy
                latest[seed] |= {f"eval/chain/{n}/avg@8": v for n, v in accuracy.items()}
                rows = _eval_rows(seed, step, accuracy["hard"], problems, rng)
                write_eval_rows(eval_path(own, seed, step), rows)
        if step % min(5, every) == 0:
            ends = _collapses(trial, step)
            report = _report(step, steps, latest) | ends
            log.append(TrialEvent(EventKind.REPORTED, trial_id, report))
    values = {str(seed): metrics[METRIC] for seed, metrics in latest.items()}
    end = {"step": last, "value": sum(values.values()) / len(values), "values": values}
    end |= _collapses(trial, last)
    if trial.end == "failed":
        cause = "diverged: gradient not finite at step 20 | loss = nan"
        log.append(TrialEvent(EventKind.FAILED, trial_id, {"cause": cause, "step": last}))
    elif trial.end != "running":
        log.append(TrialEvent(EventKind(trial.end), trial_id, {**end, "wall_s": 42.5}))


def _collapses(trial: Trial, until: int) -> dict[str, Any]:
    """What an event at step `until` says of the seeds that have collapsed."""
    cause = "diverged: the gradient was not finite in 3 consecutive steps"
    found = {str(s): {"step": n, "cause": cause} for s, n in trial.collapses.items() if n <= until}
    return {"collapsed": found} if found else {}


def _report(step: int, steps: int, latest: dict[int, dict[str, float]]) -> dict[str, Any]:
    names = next(iter(latest.values()))
    return {
        "step": step,
        "steps": steps,
        "metrics": {n: sum(m[n] for m in latest.values()) / len(latest) for n in names},
        "seeds": {str(seed): dict(metrics) for seed, metrics in latest.items()},
        "tokens_per_s": 19000.0,
    }


def _eval_rows(
    seed: int, step: int, accuracy: float, problems: int, rng: random.Random
) -> list[EvalRow]:
    return [
        EvalRow(
            seed,
            step,
            "chain/hard",
            f"p{problem}",
            sample,
            "correct" if rng.random() < accuracy else "wrong",
            "17",
            18,
            "stopped",
        )
        for problem in range(problems)
        for sample in range(-1, 2)
    ]


def add_confirmation(
    folder: Path,
    of: str,
    values: dict[int, float],
    *,
    end: str = "finished",
    seeds: Sequence[int] = (10, 11, 12),
    split: str = "test",
) -> str:
    """Run search trial `of` of the study again; returns the id of that run."""
    searched = json.loads((folder / "trials" / of / "config.json").read_text())
    params, label = searched["params"], searched["label"]
    config = {**searched["config"]}
    config["evaluation"] = {**config["evaluation"], "split": split}
    with ResultsLog(folder / "log.jsonl") as log:
        trial = f"c{len(log.table.confirmations):04d}"
        suggestion = {"params": params, "seeds": list(seeds), "label": label}
        role = {"role": "confirmation", "of": of}
        log.append(TrialEvent(EventKind.SUGGESTED, trial, {**suggestion, **role}))
        if end == "waiting":
            return trial
        own = folder / "trials" / trial
        own.mkdir(parents=True)
        write_json_atomic(own / "config.json", {**suggestion, "config": config})
        log.append(TrialEvent(EventKind.STARTED, trial))
        step = 10 if end == "running" else 20
        latest = {seed: {METRIC: 0.9} for seed in seeds}
        log.append(TrialEvent(EventKind.REPORTED, trial, _report(step, 20, latest)))
        if end == "failed":
            log.append(TrialEvent(EventKind.FAILED, trial, {"cause": "out of memory", "step": 10}))
        elif end != "running":
            data = {"step": 20, "values": {str(seed): v for seed, v in values.items()}}
            log.append(TrialEvent(EventKind(end), trial, data))
    return trial


def declare(folder: Path, **fields: Any) -> None:
    """Add fields to the study's definition, such as `confirm` and `also`."""
    path = folder / "study.json"
    study = json.loads(path.read_text())
    study["definition"] |= fields
    path.write_text(json.dumps(study))


@pytest.fixture(scope="session")
def full_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole sweep; tests must not change it."""
    return write_study(tmp_path_factory.mktemp("results") / "margin-sweep", sweep())


MakeStudy = Callable[..., Path]


@pytest.fixture
def make_study(tmp_path: Path) -> MakeStudy:
    def make(trials: Sequence[Trial], **options: Any) -> Path:
        options = {"steps": 20, "every": 10, **options}
        return write_study(tmp_path / "study", trials, **options)

    return make


@pytest.fixture
def trial() -> type[Trial]:
    return Trial


@pytest.fixture
def confirm() -> Callable[..., str]:
    return add_confirmation


@pytest.fixture
def define() -> Callable[..., None]:
    return declare


@pytest.fixture(scope="module")
def few_figures() -> Iterator[None]:
    """Reports draw two figures instead of all, for tests of anything else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gallery, "BUILDERS", gallery.BUILDERS[1:3])
        yield


@pytest.fixture
def unwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn and not written, for tests of anything but their files."""
    monkeypatch.setattr("analysis.figures.style.save", drawn)
