"""A study from declaration to results directory.

results/<name>/
  study.json       the frozen definition, hashes of data, models and code, accepted changes
  snapshot.json    code, packages, hardware, hashes of data and models
  quarantine.jsonl rows of problem sets that take no part, with reasons; when there are any
  log.jsonl        every event, checksummed: the truth
  driver.json      who drives the study; only while it runs
  trials/<id>/     configuration, one row per step, one row per evaluated response
  ray/             checkpoints and whatever Ray keeps; never read back except checkpoints
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any, Self

from pydantic import PrivateAttr, ValidationError

from conspo_study.cluster.surroundings import require_linux, settle
from conspo_study.config.places import named_cluster
from conspo_study.definition import StudyDefinition, definition_problems
from conspo_study.forecast.measured import Measured
from conspo_study.forecast.notes import space_notes
from conspo_study.forecast.placement import gpu_bytes
from conspo_study.forecast.plan import Plan, make_plan
from conspo_study.machine import usable_cores, usable_gpus
from conspo_study.plugins import PluginError, missing_modules, refuse_while_importing
from conspo_study.processes.interrupts import interrupts, stop
from conspo_study.processes.output import lasting_output
from conspo_study.records import EventKind, StudyError, TrialEvent
from conspo_study.results.folder import (
    make_folder,
    read_definition,
    read_events,
    refuse_links,
    remove_leftovers,
)
from conspo_study.results.lease import Lease
from conspo_study.results.log import LogContent, LogDamaged, LogLocked, ResultsLog
from conspo_study.results.names import LEASE, LOG, PLUGINS
from conspo_study.results.table import StudyTable
from conspo_study.statistics.paired_spread import PairedSpread
from conspo_study.study.claim import Claim, claim, nothing_left
from conspo_study.study.endings import Outcome, outcome_of, stopping_in_order
from conspo_study.study.preflight import Preflight, preflight
from conspo_study.study.trust import UntrustedCode, code_named
from conspo_study.terminal.console import Console
from conspo_study.tracking.known import check_trackers
from conspo_study.tracking.processes import tracking


class Study(StudyDefinition):
    """A declared study that can be planned and run."""

    _begins_at: Path = PrivateAttr(default_factory=Path.cwd)
    """The folder that relative paths of the configuration begin at."""

    @classmethod
    def of_folder(cls, folder: Path | str, *, trust_code: bool = False) -> Self:
        """The study that a results directory holds, from its `study.json` alone.

        trust_code: whether modules that it names may be imported, and code be run that comes with
        its models. Raises UntrustedCode when there is such code and it may not, StudyError when the
        definition is unreadable or means nothing to this version.
        """
        folder = Path(folder)
        stored = read_definition(folder)
        _require_modules(folder, stored)
        if not trust_code and (named := code_named(stored["definition"])):
            raise UntrustedCode(folder, named)
        try:
            study = cls.model_validate(stored["definition"])
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                if isinstance(fault := detail.get("ctx", {}).get("error"), PluginError):
                    raise StudyError(str(fault)) from error
            problems = "; ".join(definition_problems(error))
            raise StudyError(
                f"this version does not understand the definition in {folder}: {problems}; use the "
                "version that began the study (its commit is in snapshot.json)"
            ) from error
        begun = stored.get("started_in")
        if isinstance(begun, str) and (folder.resolve() / begun).is_dir():
            study._begins_at = (folder.resolve() / begun).resolve()
        return study

    def plan(
        self,
        cpus: int | None = None,
        gpus: int | None = None,
        spread: PairedSpread | None = None,
        folder: Path | None = None,
        gpu_memory: float | None = None,
        measured: Measured | None = None,
    ) -> Plan:
        """What running this study means, computed without starting anything.

        cpus, gpus: by default those of this machine. spread: what finished trials of the study show
        of the noise between seeds (`measured_spread`). folder: its results directory, by default
        one on the disk of the working directory. gpu_memory: GiB of the smallest GPU, by default
        of those here. measured: what a probe showed of the time (`conspo_study.study.probe`).
        """
        with chdir(self._begins_at):
            return self._plan(spread, cpus, gpus, folder, gpu_memory, measured)

    def preflight(self, plan: Plan | None = None) -> Preflight:
        """What forbids this study here, found without starting or fetching anything."""
        with chdir(self._begins_at):
            return preflight(self, plan or self._plan(None), fetch=False)

    def _plan(
        self,
        spread: PairedSpread | None,
        cpus: int | None = None,
        gpus: int | None = None,
        folder: Path | None = None,
        gpu_memory: float | None = None,
        measured: Measured | None = None,
    ) -> Plan:
        return make_plan(
            self,
            cpus if cpus is not None else usable_cores(),
            gpus if gpus is not None else usable_gpus(),
            spread=spread,
            folder=folder,
            gpu_bytes=gpu_bytes(gpu_memory),
            measured=measured,
        )

    def run(
        self,
        results_root: Path | str,
        *,
        resume: bool = False,
        takeover: bool = False,
        allow_changes: bool = False,
        retry_failed: bool = False,
        expected_nodes: int = 0,
        track: Sequence[str] = (),
        gpu_memory: float | None = None,
        console: Console | None = None,
    ) -> Outcome:
        """`run_in` the folder of this study's name inside `results_root`."""
        return self.run_in(
            Path(results_root) / self.name,
            resume=resume,
            takeover=takeover,
            allow_changes=allow_changes,
            retry_failed=retry_failed,
            expected_nodes=expected_nodes,
            track=track,
            gpu_memory=gpu_memory,
            console=console,
        )

    def run_in(
        self,
        folder: Path | str,
        *,
        resume: bool = False,
        takeover: bool = False,
        allow_changes: bool = False,
        retry_failed: bool = False,
        expected_nodes: int = 0,
        track: Sequence[str] = (),
        gpu_memory: float | None = None,
        console: Console | None = None,
    ) -> Outcome:
        """Run all trials that the results directory does not already hold.

        resume: continue a study that has begun. takeover: continue one whose driver, elsewhere,
        shows no sign of life. allow_changes: continue although settings, data or code are not
        what the study began with. retry_failed: run trials again, from their last checkpoint, that
        the machine made fail; what was suggested in the meantime stays. expected_nodes: number of
        nodes that the cluster of `RAY_ADDRESS` is to have before trials are placed. track: names of
        trackers to send it to, such as `tensorboard`; they change nothing of the study. gpu_memory:
        GiB of the smallest GPU, which trials have to fit; by default of those here, unknown on a
        cluster.

        Raises StudyError before any work when the definition, the data, the machine, the directory
        or a missing package does not allow it, StudyStopped when it cannot go on for want of disk
        space or because another driver took over.
        """
        refuse_while_importing()
        require_linux()
        if expected_nodes and not named_cluster():
            raise StudyError(
                "--wait-for-nodes is about a cluster, and this study would run on this machine: "
                "set RAY_ADDRESS to the cluster's head, HOST:6379, or leave the option out"
            )
        console = console or Console()
        settle()
        folder = Path(folder).expanduser().resolve()
        try:
            check_trackers(track)
        except ValueError as error:
            raise StudyError(str(error)) from error
        with chdir(self._begins_at), lasting_output():
            refuse_links(folder)
            plan = self._plan(None, folder=folder, gpu_memory=gpu_memory)
            return self._run(
                *(folder, plan, resume, takeover, allow_changes, retry_failed, expected_nodes),
                *(track, console),
            )

    def _run(
        self,
        folder: Path,
        plan: Plan,
        resume: bool,
        takeover: bool,
        allow_changes: bool,
        retry_failed: bool,
        expected_nodes: int,
        track: Sequence[str],
        console: Console,
    ) -> Outcome:
        content = read_events(folder)
        before = content.builder.table
        retried = [row.id for row in before.all_rows if row.machine] if retry_failed else []
        ended = nothing_left(before, self.trials, retried)
        found = preflight(self, plan, fetch=True, try_code=not ended)
        if found.problems:
            raise StudyError("\n".join(found.problems))
        for line in [*found.lines(), *space_notes(self)]:
            console.line(line)

        def check(table: StudyTable) -> Claim:
            return claim(
                *(folder, self, found.data, table),
                resume=resume,
                allow_changes=allow_changes,
                plugins=found.plugins,
                retried=retried,
            )

        claimed = check(before)
        if claimed.done:
            assert claimed.stored is not None
            trials = int(claimed.stored["definition"]["trials"])
            return outcome_of(folder, before, trials, complete=True, ran=False)
        make_folder(folder, plan.disk_bytes)
        lease = Lease(folder / LEASE, takeover=takeover, on_lost=stop)
        with interrupts(lease.release) as received, _driving(folder, lease, content) as log:
            for notice in log.notices:
                console.line(notice)
            complete, sent = False, tuple(track)
            with stopping_in_order(log, lease, received):
                remove_leftovers(folder)
                # Checked again, now that nobody else can write here.
                start = {
                    "hash": self.hash,
                    "trials": self.trials,
                    "resumed": bool(log.events),
                    "changes": list(check(log.table).write()),
                }
                log.append(TrialEvent(EventKind.STUDY_STARTED, data=start))
                from conspo_study.cluster.launch import launch

                with tracking(folder, track, console.notice) as trackers:
                    complete = launch(self, folder, log, plan, console, retried, expected_nodes)
                    if complete:
                        log.append(TrialEvent(EventKind.STUDY_FINISHED))
                sent = tuple(name for name in track if name not in trackers.failed)
        signalled = 0 if complete else received.exit_status
        how = {"complete": complete, "track": sent, "signalled": signalled}
        return outcome_of(folder, log.table, self.trials, **how)


def _require_modules(folder: Path, stored: Mapping[str, Any]) -> None:
    """Raise StudyError where a module that the study runs is not found here."""
    modules = stored.get("modules")
    if not isinstance(modules, dict):
        return
    missing = missing_modules(modules)
    if not missing:
        return
    places = [folder.resolve() / str(modules[name]) for name in missing if modules[name]]
    there = sorted({str(place.resolve()) for place in places if place.is_dir()})
    how = f"add its folder to PYTHONPATH (PYTHONPATH={':'.join(there)})" if there else "bring it"
    raise StudyError(
        f"the study in {folder} runs code of the module {', '.join(missing)}, which is not found "
        f"here: {how}, run the study's own script with --resume, or install its package. What ran "
        f"is kept in {folder / PLUGINS}, to be read, and to be added there if you trust it"
    )


@contextmanager
def _driving(folder: Path, lease: Lease, content: LogContent) -> Iterator[ResultsLog]:
    """The log, open for this driver alone. content: what was read of it before."""
    try:
        log = ResultsLog(folder / LOG, lease, content)
    except (LogLocked, LogDamaged) as error:
        raise StudyError(str(error)) from error
    except OSError as error:
        raise StudyError(f"{error.filename}: {error.strerror}") from error
    with log:
        yield log
