"""The next trial: a pure function of the definition, the trial's number and the log.

All decisions about trial n follow from the results of the trials 0, ..., n - 1 - lag and the
settings of the others before it. The search waits for those results, so neither the machine's
speed nor the number of trials at a time nor a crash of the driver changes any trial.

The results log is the only truth. Every suggestion is logged before it is returned.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from statistics import fmean
from typing import Any

from conspo_study.config import AnyRun, ConfigError, config_hash, with_overrides
from conspo_study.definition import StudyDefinition
from conspo_study.records import (
    Bar,
    EventKind,
    PairedBar,
    TrialEvent,
    TrialRole,
    TrialState,
    is_number,
    written_bar,
)
from conspo_study.results.log import ResultsLog
from conspo_study.results.memory_log import MemoryLog
from conspo_study.results.strata import strata_of
from conspo_study.results.table import StudyTable, TrialRow
from conspo_study.search import halving
from conspo_study.search.racing import Curves, bars
from conspo_study.search.samplers import Ended, Params, Past, make_proposer


class Wait(Enum):
    """Another trial follows once a running one has ended."""

    WAIT = "wait"


WAIT = Wait.WAIT


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A trial to run."""

    trial: str
    params: Params
    """Dotted settings that differ from the study's base configuration."""
    config: AnyRun
    seeds: tuple[int, ...]
    label: str = ""
    """Name of the baseline; empty for settings that the sampler chose."""
    bars: Mapping[int, Bar] = field(default_factory=dict)
    """Pruning threshold by step: the trial stops if its values are worse."""
    of: str = ""
    """Id of the search trial that it confirms; empty for a search trial."""
    until: int | None = None
    """Step of the rung at which it pauses; None: it runs to its last step."""

    def event(self) -> TrialEvent:
        """Its line in the log."""
        role = TrialRole.CONFIRMATION if self.of else TrialRole.SEARCH
        data = {
            "params": dict(self.params),
            "seeds": list(self.seeds),
            "label": self.label,
            "config_hash": config_hash(self.config),
            "bars": {str(step): written_bar(bar) for step, bar in self.bars.items()},
            "role": role.value,
            "of": self.of,
        }
        return TrialEvent(EventKind.SUGGESTED, self.trial, data)


class Search:
    """Suggests trials of a study and records their progress and endings.

    Not thread-safe: Ray Tune calls its searcher from one thread.

    retried: failed trials that are run again, from their last checkpoint.
    """

    def __init__(
        self,
        definition: StudyDefinition,
        log: ResultsLog | MemoryLog,
        retried: Collection[str] = (),
    ):
        self.definition = definition
        self.log = log
        self._proposer = make_proposer(definition)
        self._curves = Curves(definition)
        self._hashes: dict[str, str] = {}
        """Configuration hash by search trial; each is computed once."""
        self._invalid: set[str] = set()
        """Invalid proposals, so that each is tried once."""
        self._used_up_at: int | None = None
        """Number of the trial for which the space had no more points."""
        self._decided: tuple[int, Suggestion | Wait | None] = (-1, None)
        """Length of the log, and the decision that follows from it."""
        at_rest = (TrialState.PAUSED,) if definition.halving is not None else ()
        self._unfinished = deque(
            row
            for row in self._asked_for
            if row.id in retried or not (row.state.ended or row.state in at_rest)
        )

    def suggest(self) -> Suggestion | Wait | None:
        """The next trial, logged; WAIT while it depends on running trials; None if there is none.

        Trials that a previous process left unfinished come first, as they were suggested. Then come
        the baselines, the sampler's proposals, and the confirmations.
        """
        if self._unfinished:
            return self._again(self._unfinished.popleft())
        decision = self._next()
        while self._stop_at_rungs():
            decision = self._next()
        if isinstance(decision, Suggestion) and not self._is_logged(decision.trial):
            self.log.append(decision.event())
        return decision

    @property
    def complete(self) -> bool:
        """True if every trial of the budget, or of a space that is used up, and every confirmation
        has ended."""
        ended = not self._unfinished and all(row.state.ended for row in self._asked_for)
        return ended and self._next() is None

    def again(self, trial: str) -> None:
        """Suggest an open trial once more, before any other."""
        self._unfinished.appendleft(self.log.table.row(trial))

    def started(self, trial: str) -> None:
        """Record that the trial has got its resources."""
        self.log.append(TrialEvent(EventKind.STARTED, trial))

    def reported(self, trial: str, data: Mapping[str, Any]) -> None:
        """Record a progress report: `step`, `steps` and the metrics of every seed."""
        self.log.append(TrialEvent(EventKind.REPORTED, trial, dict(data)))

    def incidents(self, trial: str, totals: Iterable[Mapping[str, Any]]) -> None:
        """Record the failures that the trial's processes have recovered from since it began.

        totals: objects with `type`, `count` and `detail`. Failures that the log has already are not
        counted again.
        """
        logged = dict(self.log.table.row(trial).incidents)
        for incident in totals:
            kind, count = incident["type"], incident["count"]
            known = min(count, logged.get(kind, 0))
            logged[kind] = logged.get(kind, 0) - known
            if count > known:
                data = {**incident, "count": count - known}
                self.log.append(TrialEvent(EventKind.INCIDENT, trial, data))

    def ended(self, trial: str, kind: EventKind, data: Mapping[str, Any]) -> None:
        """Record the ending: FINISHED, COLLAPSED, PRUNED or FAILED; or PAUSED, at a rung."""
        self.log.append(TrialEvent(kind, trial, dict(data)))

    @property
    def _asked_for(self) -> tuple[TrialRow, ...]:
        """Trials that the definition asks for; it may no longer ask for confirmations."""
        table = self.log.table
        return table.all_rows if self.definition.confirm else table.rows

    def _again(self, row: TrialRow) -> Suggestion:
        config = self._config(row.params, confirmation=bool(row.of))
        rule = self.definition.halving
        rung = None if rule is None or row.label or row.of else halving.until(rule, row)
        about = row.seeds, row.label, row.bars, row.of
        return Suggestion(row.id, row.params, config, *about, until=rung)

    def _is_logged(self, trial: str) -> bool:
        """Whether a trial was suggested before, as one that goes on from a rung was."""
        try:
            return bool(self.log.table.row(trial))
        except KeyError:
            return False

    def _stop_at_rungs(self) -> bool:
        """Log the trials that stop at a rung of successive halving which has been decided; returns
        whether there were any."""
        stops = [
            row
            for bracket in self._brackets(self.log.table.rows)
            for row in halving.stopped(bracket, self.definition.direction)
        ]
        for row in stops:
            self.ended(row.id, EventKind.PRUNED, halving.ending(row))
        return bool(stops)

    def _brackets(self, rows: Sequence[TrialRow]) -> list[halving.Bracket]:
        """The brackets of the searched trials; none without successive halving."""
        rule, anchors = self.definition.halving, len(self.definition.anchors)
        if rule is None or len(rows) < anchors:
            return []
        budget = self.definition.trials if self._used_up_at is None else self._used_up_at
        return halving.brackets(rule, rows[anchors:], budget - anchors)

    def _next(self) -> Suggestion | Wait | None:
        """Decision that follows from the log; nothing is recorded."""
        length = len(self.log.events)
        if self._decided[0] != length:
            table = self.log.table
            decision = self._searched(table.rows)
            decision = self._confirmation(table) if decision is None else decision
            self._decided = length, decision
        return self._decided[1]

    def _searched(self, rows: Sequence[TrialRow]) -> Suggestion | Wait | None:
        study, number = self.definition, len(rows)
        if study.halving is not None and number >= len(study.anchors):
            return self._in_brackets(rows)
        if number >= study.trials or number == self._used_up_at:
            return None
        trial = f"t{number:04d}"
        if number < len(study.anchors):
            anchor = study.anchors[number]
            config = self._config(anchor.params)
            return Suggestion(trial, anchor.params, config, study.seeds, anchor.label)
        decided = max(0, number - study.lag) if study.waits_for_results else 0
        if not all(row.state.ended for row in rows[:decided]):
            return WAIT
        proposal = self._proposal(rows, decided)
        if proposal is None:
            self._used_up_at = number
            return None
        self._curves.update(self.log.events)
        rivals = [row.id for row in rows[:decided] if row.state is not TrialState.FAILED]
        # A study that began with thresholds of the earlier rule goes on with them.
        earlier = any(not isinstance(bar, PairedBar) for row in rows for bar in row.bars.values())
        thresholds = bars(self._curves, study, rivals, paired=not earlier)
        return Suggestion(trial, *proposal, study.seeds, bars=thresholds)

    def _in_brackets(self, rows: Sequence[TrialRow]) -> Suggestion | Wait | None:
        """The next trial of successive halving: a new one of the first bracket that has not ended,
        once all before it have, then those of it that go on."""
        number = len(rows)
        for bracket in self._brackets(rows):
            if not bracket.whole:
                decided = len(self.definition.anchors) + bracket.start if bracket.start else 0
                if not all(row.state.ended for row in rows[:decided]):
                    return WAIT
                proposal = self._proposal(rows, decided)
                if proposal is not None:
                    trial = f"t{number:04d}"
                    return Suggestion(
                        trial, *proposal, self.definition.seeds, until=halving.until(bracket.rule)
                    )
                self._used_up_at = number
                return self._in_brackets(rows)
            for row in halving.going_on(bracket, self.definition.direction):
                return self._again(row)
            if not all(row.state.ended for row in bracket.rows):
                return WAIT
        return None

    def _proposal(self, rows: Sequence[TrialRow], decided: int) -> tuple[Params, AnyRun] | None:
        """First proposal whose configuration is valid and has not been run: a repeat would give the
        same numbers, or the same failure."""
        past = Past(
            number=len(rows),
            ended=tuple(self._ending(row) for row in rows[:decided]),
            running=tuple(row.params for row in rows[decided:]),
        )
        known = {self._hash_of(row) for row in rows}
        for params in self._proposer.candidates(past):
            written = json.dumps(params, sort_keys=True)
            if written in self._invalid:
                continue
            try:
                config = self._config(params)
            except ConfigError:  # settings that are valid one by one, but not together
                self._invalid.add(written)
                continue
            if config_hash(config) not in known:
                return params, config
        return None

    def _ending(self, row: TrialRow) -> Ended:
        """Ended trial as a sampler may know it."""
        means: list[float | None] = [row.value]
        for aim in self.definition.also:
            by_seed = row.also.get(aim.metric, {})
            means.append(fmean(by_seed.values()) if by_seed else None)
        values = tuple(mean for mean in means if mean is not None)
        failed = row.state is TrialState.FAILED or len(values) < len(means)
        return Ended(row.params, row.state, row.step, () if failed else values)

    def _confirmation(self, table: StudyTable) -> Suggestion | Wait | None:
        """The next confirmation once all search trials are suggested: of a baseline at once, of the
        winner once it is known. With strata, of the winner of each, in the order of the strata."""
        confirm = self.definition.confirm
        if confirm is None:
            return None
        confirmed = {row.of for row in table.confirmations}
        for row in table.rows:
            wanted = confirm.confirms(row.label)
            if row.label and wanted and row.id not in confirmed:
                return self._confirmed(row, table, confirm.seeds)
        for stratum in strata_of(table.rows, confirm.best_over) if confirm.best_over else ():
            if not stratum.ended:
                return WAIT
            best = stratum.winner(self.definition.direction)
            if best is not None and best.id not in confirmed:
                return self._confirmed(best, table, confirm.seeds)
        if confirm.best_over:
            return None
        if not all(row.state.ended for row in table.rows):
            return WAIT
        winner = table.best(self.definition.direction)
        if winner is None or winner.id in confirmed:
            return None
        return self._confirmed(winner, table, confirm.seeds)

    def _confirmed(self, row: TrialRow, table: StudyTable, seeds: tuple[int, ...]) -> Suggestion:
        config = self._config(row.params, confirmation=True)
        trial = f"c{len(table.confirmations):04d}"
        return Suggestion(trial, row.params, config, seeds, row.label, of=row.id)

    def _config(self, params: Params, confirmation: bool = False) -> AnyRun:
        confirm = self.definition.confirm
        changes = confirm.overrides if confirm and confirmation else {}
        return with_overrides(self.definition.base, {**params, **changes})

    def _hash_of(self, row: TrialRow) -> str:
        if row.id not in self._hashes:
            self._hashes[row.id] = config_hash(self._config(row.params))
        return self._hashes[row.id]


def mean_value(
    seeds: Mapping[str, Mapping[str, Any]], metric: str, expected: Iterable[int]
) -> tuple[float, dict[str, float]]:
    """Mean of `metric` over the `expected` seeds, and its value by seed. Raises ValueError if a
    seed's value is missing or not a finite number: a mean over some of the seeds is not comparable.
    """
    values = {}
    for seed in map(str, expected):
        value = seeds.get(seed, {}).get(metric)
        if not is_number(value):
            raise ValueError(f"seed {seed} reported {metric} = {value!r}, not a finite number")
        values[seed] = float(value)
    return fmean(values.values()), values
