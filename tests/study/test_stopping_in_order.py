"""An error that stops a study in its course is told in one sentence, not with a traceback."""

import signal

import pytest

from conspo_study.files import write_atomic
from conspo_study.processes.interrupts import Interrupts
from conspo_study.results.lease import Lease
from conspo_study.results.log import ResultsLog
from conspo_study.study.endings import StudyStopped, stopping_in_order


@pytest.fixture
def driving(tmp_path):
    lease = Lease(tmp_path / "driver.json")
    with ResultsLog(tmp_path / "log.jsonl", lease) as log:
        yield log, lease


def test_a_file_of_the_study_that_cannot_be_written_is_named(driving, tmp_path):
    with (
        pytest.raises(StudyStopped, match=r"cannot write: .*study\.json.*continue with --resume"),
        stopping_in_order(*driving, Interrupts()),
    ):
        write_atomic(tmp_path / "gone" / "study.json", b"")


def test_an_error_elsewhere_is_a_bug_and_stays_one(driving, tmp_path):
    with pytest.raises(FileNotFoundError), stopping_in_order(*driving, Interrupts()):
        write_atomic(tmp_path.parent / "gone" / "study.json", b"")


def test_an_error_after_a_signal_is_an_interrupt(driving):
    received = Interrupts()
    with stopping_in_order(*driving, received):
        received.received = signal.SIGTERM
        raise RuntimeError("Ray is gone")
    assert received.exit_status == 143
