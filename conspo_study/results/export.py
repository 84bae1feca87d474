"""The search as an Optuna database, for optuna-dashboard and Optuna's own plots. Never read back.

All search trials are in it, in the order and with the numbers of the study; confirmations stand
with the trials that they confirm.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conspo_study.config.values import key_of
from conspo_study.extras import require
from conspo_study.files import write_atomic
from conspo_study.records import EventKind, TrialState
from conspo_study.results.event_data import with_text_seeds
from conspo_study.results.lines import LoggedEvent
from conspo_study.results.table import StudyTable, TrialRow, build_table

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

_STATES = {
    TrialState.WAITING: "WAITING",
    TrialState.RUNNING: "RUNNING",
    TrialState.PAUSED: "RUNNING",
    TrialState.FINISHED: "COMPLETE",
    TrialState.COLLAPSED: "COMPLETE",
    TrialState.PRUNED: "PRUNED",
    TrialState.FAILED: "FAIL",
}
_NO_PLACE = object()


def export_sqlite(path: Path, definition: Mapping[str, Any], events: Sequence[LoggedEvent]) -> int:
    """Write the database, replacing an older one as a whole; returns the number of its trials.

    definition: the frozen definition, as in `study.json`. Raises ValueError when the events
    contradict each other, OSError when the file cannot be written, MissingPackage without Optuna.
    """
    require("an Optuna database", "study")
    import optuna

    table = build_table(events)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    aims = [(definition["metric"], definition["direction"])]
    aims += [(aim["metric"], aim["direction"]) for aim in definition.get("also", ())]
    with tempfile.TemporaryDirectory(prefix="conspo-export-") as folder:
        # Built on a local disk: SQLite's locks do not work on every file system.
        built = Path(folder) / "optuna.sqlite3"
        storage = optuna.storages.RDBStorage(f"sqlite:///{built}")
        study = optuna.create_study(
            study_name=definition["name"],
            storage=storage,
            directions=["maximize" if way == "max" else "minimize" for _, way in aims],
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names([metric for metric, _ in aims])
        study.set_user_attr("source", "an export of log.jsonl, which is the truth")
        study.set_user_attr("definition", table.hash)
        _add_trials(study, definition, table, events)
        storage.engine.dispose()
        write_atomic(path, built.read_bytes())
    return len(table.rows)


def _add_trials(
    study: Study,
    definition: Mapping[str, Any],
    table: StudyTable,
    events: Sequence[LoggedEvent],
) -> None:
    distributions = _distributions(definition.get("space", {}), table.rows)
    times = _times(events)
    also = [aim["metric"] for aim in definition.get("also", ())]
    curves = {} if also else _curves(definition, table, events)
    for row in table.rows:
        confirmed = [c for c in table.confirmations if c.of == row.id and c.values]
        study.add_trial(
            _frozen(
                row,
                distributions,
                also,
                times[row.id],
                curves.get(row.id, {}),
                {**_attributes(row), **{f"confirmed in {c.id}": _results(c) for c in confirmed}},
            )
        )


def _frozen(
    row: TrialRow,
    distributions: Mapping[str, BaseDistribution],
    also: Sequence[str],
    times: tuple[datetime, datetime],
    curve: Mapping[int, float],
    attributes: dict[str, Any],
) -> FrozenTrial:
    import optuna

    state = optuna.trial.TrialState[_STATES[row.state]]
    values = None
    if row.state is TrialState.PRUNED and row.value is not None and not also:
        curve = {**curve, row.step: row.value}
    if row.state.has_result:
        values = _values(row, also)
        if values is None:
            # Optuna would compare it with the others.
            state = optuna.trial.TrialState.FAIL
            attributes["cause"] = "it ended without the values of all seeds"
    params = {}
    for path, value in row.params.items():
        told = _in(distributions[path], value)
        if told is not _NO_PLACE:
            params[path] = told
        else:
            attributes[path] = value
    started, ended = times
    return optuna.trial.FrozenTrial(
        number=-1,  # the storage numbers them
        trial_id=-1,
        state=state,
        value=None,
        values=values,
        datetime_start=None if state is optuna.trial.TrialState.WAITING else started,
        datetime_complete=ended if state.is_finished() else None,
        params=params,
        distributions={path: distributions[path] for path in params},
        user_attrs=attributes,
        system_attrs={},
        intermediate_values=dict(curve),
    )


def _values(row: TrialRow, also: Sequence[str]) -> list[float] | None:
    """The mean of each objective over the seeds; None when one lacks a seed."""
    found = [row.values, *(row.also.get(metric, {}) for metric in also)]
    if not row.seeds or any(set(values) != set(row.seeds) for values in found):
        return None
    return [statistics.fmean(values.values()) for values in found]


def _attributes(row: TrialRow) -> dict[str, Any]:
    """What Optuna has no field for."""
    shown = {
        "trial": row.id,
        "label": row.label,
        "cause": row.cause,
        "collapsed": with_text_seeds(row.collapsed),
        "seeds": list(row.seeds),
        "config_hash": row.config_hash,
        "last_step": row.step,
        "incidents": dict(row.incidents),
        "wall_s": row.wall_s,
        **_results(row),
    }
    return {name: value for name, value in shown.items() if value not in ("", None, {})}


def _results(row: TrialRow) -> dict[str, Any]:
    by_metric = {metric: with_text_seeds(values) for metric, values in row.also.items()}
    return {"values": with_text_seeds(row.values), "also": by_metric}


def _distributions(
    space: Mapping[str, Mapping[str, Any]], rows: Sequence[TrialRow]
) -> dict[str, BaseDistribution]:
    """One distribution per setting, wide enough for anchors outside of the space: Optuna takes only
    one set of choices per name in a study."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, BaseDistribution] = {}
    for path in dict.fromkeys([*space, *(path for row in rows for path in row.params)]):
        used = [row.params[path] for row in rows if path in row.params]
        dimension = space.get(path, {"kind": "choice", "values": []})
        if dimension["kind"] == "range":
            low, high, log = dimension["low"], dimension["high"], dimension["log"]
            inside = [x for x in used if _is_number(x) and (x > 0 or not log)]
            if dimension.get("integer"):
                inside = [int(x) for x in inside if x == int(x)]
                ends = min([int(low), *inside]), max([int(high), *inside])
                found[path] = IntDistribution(*ends, log=log)
            else:
                found[path] = FloatDistribution(min([low, *inside]), max([high, *inside]), log=log)
        else:
            choices = list({key_of(x): x for x in [*dimension["values"], *used]}.values())
            if all(map(_is_number, choices)):
                choices.sort()  # axes of plots keep this order
            found[path] = CategoricalDistribution([_told(choice) for choice in choices])
    return found


def _told(value: Any) -> Any:
    """A choice as Optuna can hold it: what it knows as it is, lists as their JSON, and True and
    False as words, which it would take for 1 and 0."""
    return json.dumps(value) if isinstance(value, bool | list | tuple | Mapping) else value


def _in(distribution: BaseDistribution, value: Any) -> Any:
    """The value as it stands in the distribution; `_NO_PLACE` where Optuna has none for it: for 0
    in a logarithmic range, say, or 2.5 among whole numbers."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        return _told(value)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    if not _is_number(value) or not distribution.low <= value <= distribution.high:
        return _NO_PLACE
    if isinstance(distribution, IntDistribution):
        return int(value) if value == int(value) else _NO_PLACE
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _times(events: Sequence[LoggedEvent]) -> dict[str, tuple[datetime, datetime]]:
    """When each trial was first started, or else suggested, and when it was last heard of; UTC
    without a zone, as Optuna's columns are."""
    first: dict[str, datetime] = {}
    last: dict[str, datetime] = {}
    started = set()
    for logged in events:
        trial, kind = logged.event.trial, logged.event.kind
        moment = datetime.fromisoformat(logged.time).astimezone(UTC).replace(tzinfo=None)
        if trial not in first or (kind is EventKind.STARTED and trial not in started):
            first[trial] = moment
        started |= {trial} if kind is EventKind.STARTED else set()
        last[trial] = moment
    return {trial: (first[trial], last[trial]) for trial in first}


def _curves(
    definition: Mapping[str, Any], table: StudyTable, events: Sequence[LoggedEvent]
) -> dict[str, dict[int, float]]:
    """Trial -> step -> mean over seeds of the study's metric, where it was measured: reports
    between two evaluations repeat the earlier one."""
    rows = {row.id: row for row in table.rows}
    base = definition["base"]
    every = 1 if "function" in base else base["evaluation"]["every"]
    curves: dict[str, dict[int, float]] = {}
    for logged in events:
        row = rows.get(logged.event.trial)
        if row is None or logged.event.kind is not EventKind.REPORTED:
            continue
        data = logged.event.data  # parsed whenever it is asked for
        step, seeds = int(data["step"]), data.get("seeds", {})
        values = [metrics.get(definition["metric"]) for metrics in seeds.values()]
        measured = step % every == 0 or step == row.steps
        if measured and len(values) == len(row.seeds) and all(map(_is_number, values)):
            curves.setdefault(row.id, {})[step] = statistics.fmean(values)
    return curves
