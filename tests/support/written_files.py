"""Everything that a study writes, a class for each kind of writer.

`prepare` makes what lies there before, `act` writes and tells what is acknowledged, and `check`
looks at what is there afterwards, given what was acknowledged.
"""

import json
import os
from contextlib import suppress
from dataclasses import replace

from failing_io import stored
from study_fixtures import definition

from conspo_study.data.check import LeftOut, StudyData
from conspo_study.files import write_atomic, write_json_atomic
from conspo_study.plugins import PluginSources
from conspo_study.records import CreditRow, EventKind, TrialEvent, TrialState
from conspo_study.results import names
from conspo_study.results.incidents import Incident, IncidentType, append_incident, read_incidents
from conspo_study.results.kept import read_rollouts, rollouts_path, write_rollouts
from conspo_study.results.lease import Lease
from conspo_study.results.log import ResultsLog, read_log
from conspo_study.results.repair import repair_log
from conspo_study.results.retention import Retention, held_in
from conspo_study.results.rows import (
    append_credits,
    append_step_row,
    eval_path,
    read_credits,
    read_eval_rows,
    read_steps,
    write_eval_rows,
)
from conspo_study.results.table import StudyTable
from conspo_study.study.claim import Claim
from conspo_study.tracking.follow import _Sent
from conspo_study.update.checkpoint_store import CheckpointStore

TRIAL = "t0000"


class Log:
    """Driver's log and lease: open, three events, a heartbeat, close."""

    BEFORE = ("t0", "t1")
    damage = staticmethod(lambda content: content)

    def prepare(self, folder):
        with ResultsLog(folder / names.LOG) as log:
            for trial in self.BEFORE:
                log.append(TrialEvent(EventKind.SUGGESTED, trial))
        log.path.write_bytes(self.damage(log.path.read_bytes()))

    def act(self, folder, acknowledge):
        lease = Lease(folder / names.LEASE, interval=1000)
        with ResultsLog(folder / names.LOG, lease) as log:
            for trial in ("t2", "t3", "t4"):
                log.append(TrialEvent(EventKind.SUGGESTED, trial))
                acknowledge(trial)
            with suppress(OSError):  # as the heartbeat's thread
                lease._write(1)

    def check(self, folder, done):
        path = folder / names.LOG
        with suppress(FileNotFoundError):  # of a run in this process, which does not end with it
            lease = json.loads((folder / names.LEASE).read_bytes())
            if lease["pid"] == os.getpid():
                (folder / names.LEASE).unlink()
        before = [logged.event.trial for logged in read_log(path)]
        with ResultsLog(path, Lease(folder / names.LEASE)) as log:
            assert [logged.event.trial for logged in log.events] == before
            log.append(TrialEvent(EventKind.SUGGESTED, "t9"))
        assert not (folder / names.LEASE).exists()
        known = [*self.BEFORE, *done]
        assert before in (known, [*known, f"t{len(known)}"])


class TornLog(Log):
    """... whose last line was torn: cut off, kept aside."""

    damage = staticmethod(lambda content: content + b'{"seq":3,')

    def check(self, folder, done):
        super().check(folder, done)
        kept = [path.read_bytes() for path in folder.glob("log.jsonl.torn-*")]
        assert b'{"seq":3,' in kept or not done


class ZeroedLog(TornLog):
    """... whose last line was zeroed by a power cut."""

    damage = staticmethod(lambda content: content + b"\0" * 90 + b'"}\n')

    def check(self, folder, done):
        Log.check(self, folder, done)
        assert list(folder.glob("log.jsonl.torn-*")) or not done


class EditedLog(Log):
    """... whose line ends an editor has changed: replaced, the old one kept aside."""

    damage = staticmethod(lambda content: content.replace(b"\n", b"\r\n"))


class UnterminatedLog(Log):
    """... whose last newline is gone."""

    damage = staticmethod(lambda content: content[:-1])


class Repair:
    """`conspo repair` of a damaged log."""

    def prepare(self, folder):
        Log().prepare(folder)
        path = folder / names.LOG
        self.damaged = path.read_bytes().replace(b'"t1"', b'"tX"')
        path.write_bytes(self.damaged)

    def act(self, folder, acknowledge):
        repair_log(folder / names.LOG)
        acknowledge("")

    def check(self, folder, done):
        assert (folder / names.LOG).read_bytes() == self.damaged
        again = repair_log(folder / names.LOG)
        assert len(read_log(again.copy)) == 1 and b"tX" in again.rest.read_bytes()
        for path in folder.glob("log.jsonl.repaired-*"):
            assert path.read_bytes() == again.copy.read_bytes()


class Start:
    """What a start writes: study.json, snapshot.json, the study's own code, quarantined rows."""

    def prepare(self, folder):
        code = folder.parent / "own.py"
        code.write_text("answer = 42\n")
        # Of an earlier start; another file of its own code lay there.
        write_json_atomic(folder / names.SNAPSHOT, {"version": 0})
        (folder / names.PLUGINS / "package").mkdir(parents=True)
        (folder / names.PLUGINS / "package" / "old.py").write_text("old")
        (folder / names.QUARANTINE).write_text("{}\n")
        sources = PluginSources({"own.py": code, "package/new.py": code})
        data = StudyData({"set": "hash"}, (LeftOut("set", 3, None, "reason"),))
        study = definition()
        self.claim = Claim(folder, study, data, None, StudyTable(), (), sources)

    def act(self, folder, acknowledge):
        replace(self.claim, folder=folder).write()
        acknowledge("")

    def check(self, folder, done):
        if (folder / names.DEFINITION).exists():
            assert json.loads((folder / names.DEFINITION).read_bytes())["schema"]
        version = json.loads((folder / names.SNAPSHOT).read_bytes())["version"]
        assert version in ((1,) if done else (0, 1))
        for line in (folder / names.QUARANTINE).read_text().splitlines():
            json.loads(line)
        self.act(folder, lambda what: None)  # as the next start would
        found = stored(folder / names.PLUGINS)
        assert found == dict.fromkeys(("own.py", "package/new.py"), b"answer = 42\n")


class Rows:
    """Rows and credits of training steps, after a writer that was killed within a line."""

    def prepare(self, folder):
        trial = names.trial_folder(folder, TRIAL)
        trial.mkdir(parents=True)
        (trial / names.STEPS).write_text('{"seed": 0, "step": 1}\n{"seed": 0, "st')

    def act(self, folder, acknowledge):
        trial = names.trial_folder(folder, TRIAL)
        for step in (2, 3):
            append_step_row(trial / names.STEPS, {"seed": 0, "step": step})
            acknowledge(["step", step])
            row = CreditRow(0, 0, "p", 0, True, -1.0, 0.5, 3)
            append_credits(trial / names.CREDITS, 0, step, [row])
            acknowledge(["credit", step])

    def check(self, folder, done):
        trial = names.trial_folder(folder, TRIAL)

        def found():
            steps = [["step", row["step"]] for row in read_steps(trial / names.STEPS)]
            return steps + [["credit", row["step"]] for row in read_credits(trial / names.CREDITS)]

        here = found()
        assert ["step", 1] in here and all(what in here for what in done)
        assert len(here) <= len(done) + 2
        self.act(folder, lambda what: None)
        assert len(found()) == 5


class Files:
    """Evaluations and kept responses, each a Parquet file: one new, one that replaces another."""

    def prepare(self, folder):
        self.write(names.trial_folder(folder, TRIAL), "old", (0,))

    def write(self, trial, answer, steps, acknowledge=lambda what: None):
        from conspo_study.records import EvalRow, RolloutRow

        trial.mkdir(parents=True, exist_ok=True)
        for step in steps:
            verdict = ("wrong", answer, 3, "stopped")
            write_eval_rows(eval_path(trial, 0, step), [EvalRow(0, step, "s", "p", 0, *verdict)])
            acknowledge(["eval", step])
            row = RolloutRow(
                *(0, step, 0, 0, "p", "prompt", "response", "wrong", answer),
                *(-1.0, None, None, 3, "stopped"),
            )
            write_rollouts(rollouts_path(trial, 0, step), [row], 10**6)
            acknowledge(["rollouts", step])

    def act(self, folder, acknowledge):
        self.write(names.trial_folder(folder, TRIAL), "new", (0, 1), acknowledge)

    def check(self, folder, done):
        trial = names.trial_folder(folder, TRIAL)
        for kind, rows in (("eval", read_eval_rows(trial)), ("rollouts", read_rollouts(trial))):
            found = {row.step: row.answer for row in rows}
            assert found[0] == "new" or ([kind, 0] not in done and found[0] == "old")
            assert found.get(1, "new") == "new" and (1 in found or [kind, 1] not in done)


class Incidents:
    """Absorbed failures, in a trial without a folder."""

    def prepare(self, folder):
        pass

    def act(self, folder, acknowledge):
        for count in (1, 2):
            incident = Incident(IncidentType.STEP_SKIPPED, "detail", count)
            append_incident(names.trial_folder(folder, TRIAL), incident)
            acknowledge(count)

    def check(self, folder, done):
        found = [row["count"] for row in read_incidents(names.trial_folder(folder, TRIAL))]
        assert found in (done, [*done, len(done) + 1])


class Checkpoints:
    """A third checkpoint, for which the first goes, and the third again."""

    def store(self, folder):
        return CheckpointStore(names.run_folder(folder, "study", TRIAL), {"config_hash": "abc"})

    def write(self, store, step):
        def fill(folder):
            (folder / "seed-0").mkdir()
            write_atomic(folder / "seed-0" / "model.safetensors", b"weights of %d" % step)
            return {"runs": {}}

        store.write(step, fill)

    def prepare(self, folder):
        for step in (20, 40):
            self.write(self.store(folder), step)

    def act(self, folder, acknowledge):
        self.store(folder).newest()
        for step in (60, 60):
            self.write(self.store(folder), step)
            acknowledge(step)

    def check(self, folder, done):
        store = self.store(folder)
        found = store.newest()
        # Written again, the last one goes before the new one takes its place.
        assert found.state["step"] in ((40, 60) if len(done) < 2 else (60,))
        model = found.folder / "seed-0" / "model.safetensors"
        assert model.read_bytes() == b"weights of %d" % found.state["step"]
        left = {path.suffix for path in store.folder.iterdir()}
        assert left == {""}, "damaged or unfinished ones"
        self.write(store, 80)
        assert store.newest().state["step"] == 80
        assert len(list(store.folder.iterdir())) == 2


class Tidying:
    """Checkpoints of an ended trial that make room."""

    def prepare(self, folder):
        Checkpoints().prepare(folder)

    def retention(self, folder):
        from conspo_study.results.table import build_table

        with ResultsLog(folder.parent / "ended.jsonl") as log:
            if not log.events:
                log.append(TrialEvent(EventKind.SUGGESTED, TRIAL))
                log.append(TrialEvent(EventKind.STARTED, TRIAL))
                log.append(TrialEvent(EventKind.FAILED, TRIAL, {"cause": "x", "step": 40}))
            table = build_table(log.events)
        assert table.row(TRIAL).state is TrialState.FAILED
        return Retention(folder, "study", 0).tidy(table, "max")

    def act(self, folder, acknowledge):
        for trial, incident in self.retention(folder):
            raise OSError(5, f"told: {trial} {incident.detail}", str(folder))
        acknowledge("")

    def check(self, folder, done):
        run_folder = names.run_folder(folder, "study", TRIAL)
        for held in held_in(run_folder):
            assert not held.whole or (held.path / "manifest.json").exists()
        assert self.retention(folder) == []
        assert list(run_folder.iterdir()) == []


class Tracking:
    """What was sent to a tracker."""

    def prepare(self, folder):
        (folder / names.TRACKING).mkdir()
        (folder / names.TRACKING / "tensorboard.json").write_text('{"old": ""}\n')

    def act(self, folder, acknowledge):
        sent = _Sent(folder / names.TRACKING / "tensorboard.json")
        sent._endings["new"], sent._changed = "", True
        sent.write()
        acknowledge("")

    def check(self, folder, done):
        found = json.loads((folder / names.TRACKING / "tensorboard.json").read_bytes())
        assert set(found) in ({"old"}, {"old", "new"}) and (len(found) == 2 or not done)
        for left in (folder / names.TRACKING).glob(".tensorboard.json.*.tmp"):
            left.unlink()  # as `follow` does


CASES = [
    *(Log, TornLog, ZeroedLog, EditedLog, UnterminatedLog, Repair, Start, Rows, Files, Incidents),
    *(Checkpoints, Tidying, Tracking),
]
