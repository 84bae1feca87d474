"""Every call by which something is written fails once: nothing acknowledged is lost, nothing torn.

A case is what a class writes. It runs undisturbed, which counts its calls; then once for every call
and every way to fail.
"""

import os
import shutil
from pathlib import Path

import pytest
from failing_io import KILLS, Fault, run
from written_files import CASES

from conspo_study.results import names
from conspo_study.results.folder import remove_leftovers
from conspo_study.results.incidents import Incident, IncidentType, append_incident
from conspo_study.results.lease import Lease
from conspo_study.results.log import ResultsLog
from conspo_study.study import claim as claim_module


@pytest.fixture(scope="module", autouse=True)
def quick_starts():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claim_module, "snapshot", lambda **_: {"version": 1})
        patch.setattr(claim_module, "code_identity", lambda **_: {})
        yield


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """The calls of every case, undisturbed."""
    calls = {}
    for case in CASES:
        made = case()
        folder = tmp_path_factory.mktemp(case.__name__) / "results"
        folder.mkdir()
        made.prepare(folder)
        outcome = run(made.act, folder)
        assert outcome.error is None and outcome.done, (case, outcome.error)
        made.check(folder, outcome.done)
        calls[case] = outcome.calls
    return calls


def places(folder):
    """Every name below a folder that a process which was killed may have left half-written."""
    return list(folder.rglob(".*.tmp"))


@pytest.mark.parametrize(
    # A process of its own for each is not quick.
    "fault",
    [pytest.param(f, marks=pytest.mark.slow if f in KILLS else ()) for f in Fault],
)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_one_call_fails(case, fault, counted, tmp_path):
    template = tmp_path / "template" / "results"
    template.mkdir(parents=True)
    made = case()
    made.prepare(template)
    for at, call in enumerate(counted[case]):
        folder = tmp_path / str(at) / "results"
        shutil.copytree(template.parent, folder.parent)
        outcome = run(made.act, folder, at, fault)
        where = f"{fault} at call {at}: {call}"
        assert outcome.died == (fault in KILLS), (where, outcome.error)
        if fault is Fault.SHORT:
            assert outcome.error is None, (where, outcome.error)
        if outcome.error is not None:
            assert isinstance(outcome.error, OSError), (where, outcome.error)
            assert outcome.error.strerror and "\n" not in str(outcome.error), where
            assert Path(outcome.error.filename or "/").is_relative_to(folder), (
                where,
                outcome.error,
            )
        if not outcome.died:
            assert places(folder) == [], where
        remove_leftovers(folder)
        try:
            made.check(folder, outcome.done)
        except Exception as error:
            error.add_note(where)
            raise
        assert places(folder) == [], where
        shutil.rmtree(folder.parent)


def test_the_cases_reach_every_kind_of_call(counted):
    kinds = {call.split()[0] for calls in counted.values() for call in calls}
    assert kinds == {
        *("open", "write", "pwrite", "fsync", "ftruncate"),
        *("mkdir", "rename", "replace", "unlink", "rmdir"),
    }
    written = " ".join(call for calls in counted.values() for call in calls)
    for name in (names.LOG, names.LEASE, names.DEFINITION, names.SNAPSHOT, names.INCIDENTS):
        assert name in written
    for name in (names.STEPS, names.CREDITS, "eval-0", "rollouts-0", "manifest.json", "state.json"):
        assert name in written


@pytest.fixture
def under(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.parametrize("under", [0o077, 0o027, 0o022], indirect=True, ids=oct)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_the_umask_decides_who_may_read(case, under, tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    made = case()
    made.prepare(folder)
    made.act(folder, lambda what: None)
    append_incident(names.trial_folder(folder, "t0009"), Incident(IncidentType.STEP_SKIPPED, ""))
    for path in folder.rglob("*"):
        allowed = 0o777 if path.is_dir() else 0o666
        assert path.stat().st_mode & 0o777 == allowed & ~under, path


@pytest.mark.parametrize("under", [0o077, 0o027], indirect=True, ids=oct)
def test_the_umask_decides_who_may_read_the_lease(under, tmp_path):
    with ResultsLog(tmp_path / names.LOG, Lease(tmp_path / names.LEASE)):
        assert (tmp_path / names.LEASE).stat().st_mode & 0o777 == 0o666 & ~under
