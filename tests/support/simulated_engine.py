"""A search without Ray: trials take random times, and drivers die at any moment."""

import heapq
import random
from statistics import fmean

from study_fixtures import MemoryLog

from conspo_study.records import EventKind, misses_bar
from conspo_study.search import WAIT, Search
from conspo_study.seeds import derive_seed


class DriverDied(Exception):
    """The driver is gone; only its log is left."""


class MortalLog(MemoryLog):
    """A log whose writer dies at its `appends`-th append, before or after that is stored."""

    def __init__(self, events, appends=None, stored=True):
        super().__init__(events)
        self.left, self.stored = appends, stored

    def append(self, event):
        if self.left is not None:
            self.left -= 1
            if self.left <= 0 and not self.stored:
                raise DriverDied
        logged = super().append(event)
        if self.left is not None and self.left <= 0:
            raise DriverDied
        return logged


def noise(*names):
    """A number in [-1, 1) that depends on the names alone."""
    return derive_seed(0, *names) / 2**62 - 1


def curve(suggestion, seed, step):
    """The metric of a trial: quality of its setting, luck of its seed, noise; None: diverged."""
    config = suggestion.config
    quality = 0.5 * (config.objective.tau <= 0.3) - 0.02 * config.objective.margin
    setting = f"{config.objective.tau} {config.objective.margin} {config.objective.schedule}"
    if noise("diverges", setting) < -0.9 and step > 4:
        return None
    return quality * step / 20 + 0.1 * noise("seed", seed) + 0.02 * noise(setting, seed, step)


def drive(study, log, concurrent, chance, metric):
    """Run one driver until the search is complete. Raises DriverDied."""
    search = Search(study, log)
    steps, every = study.base.train.steps, study.base.evaluation.every
    clock, running, queue = 0.0, {}, []
    while True:
        while len(running) < concurrent:
            suggestion = search.suggest()
            if suggestion is None or suggestion is WAIT:
                assert suggestion is None or running, "waits for nothing"
                break
            search.started(suggestion.trial)
            # A trial that was begun before goes on from some checkpoint.
            known = log.table.row(suggestion.trial).step
            step = every * chance.randint(0, known // every)
            running[suggestion.trial] = suggestion
            heapq.heappush(queue, (clock + chance.random(), suggestion.trial, step))
        if not queue:
            assert search.complete
            return
        clock, trial, step = heapq.heappop(queue)
        suggestion = running[trial]
        values = {str(seed): curve(suggestion, seed, step) for seed in suggestion.seeds}
        if None in values.values():
            search.ended(trial, EventKind.FAILED, {"step": step, "cause": "diverged"})
            del running[trial]
            continue
        seeds = {
            seed: {metric: value, "tokens": 100 + 50 * noise(trial, seed)}
            for seed, value in values.items()
        }
        search.reported(trial, {"step": step, "steps": steps, "seeds": seeds})
        mean = fmean(values.values())
        bar = suggestion.bars.get(step)
        sign = 1 if study.direction == "max" else -1
        by_seed = {int(seed): value for seed, value in values.items()}
        worse = bar is not None and misses_bar(bar, by_seed, sign)
        if step < steps and not worse:
            speed = chance.expovariate(1.0)
            heapq.heappush(queue, (clock + speed, trial, step + every))
            continue
        kind = EventKind.FINISHED if step == steps else EventKind.PRUNED
        data = {"step": step, "value": mean, "values": values}
        also = {a.metric: {s: seeds[s][a.metric] for s in seeds} for a in study.also}
        search.ended(trial, kind, {**data, **({"also": also} if also else {})})
        del running[trial]


def run(study, concurrent=1, chance=None, deaths=()):
    """Run a study to its end; `deaths` are the numbers of appends after which each driver dies.

    Returns what the definition must determine: everything but times, by id.
    """
    chance = chance or random.Random(0)
    events = []
    for appends in deaths:
        log = MortalLog(events, appends, stored=chance.random() < 0.5)
        try:
            drive(study, log, concurrent, chance, study.metric)
            events = log.events
            break
        except DriverDied:
            events = log.events
    else:
        log = MemoryLog(events)
        drive(study, log, concurrent, chance, study.metric)
    return outcome(log)


def outcome(log):
    """All trials by id, without their times."""
    return {
        row.id: {
            "params": dict(row.params),
            "config_hash": row.config_hash,
            "seeds": row.seeds,
            "bars": dict(row.bars),
            "label": row.label,
            "of": row.of,
            "role": row.role,
            "state": row.state,
            "step": row.step,
            "values": dict(row.values),
            "also": {metric: dict(values) for metric, values in row.also.items()},
        }
        for row in log.table.all_rows
    }
