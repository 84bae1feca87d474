"""Whether a results directory can grow to what its study needs."""

import os
import shutil

import pytest

from conspo_study.results import folder
from conspo_study.results.names import DEFINITION


@pytest.fixture
def free(monkeypatch, tmp_path):
    """1,000 bytes are free."""
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)


def test_what_a_study_has_written_counts(free, tmp_path):
    (tmp_path / "rows").write_bytes(b"x" * 600)
    (tmp_path / DEFINITION).write_bytes(b"{}")
    assert folder.disk_problem(tmp_path, 1602) is None
    assert "are free for" in folder.disk_problem(tmp_path, 1603)


def test_other_files_do_not(free, tmp_path):
    (tmp_path / "data").write_bytes(b"x" * 600)
    assert folder.disk_problem(tmp_path, 1000) is None
    assert "are free for" in folder.disk_problem(tmp_path, 1001)
    assert "are free for" in folder.disk_problem(tmp_path / "results" / "new", 1001)


def test_no_folder_is_walked_through_where_there_is_room(monkeypatch, tmp_path):
    (tmp_path / DEFINITION).write_bytes(b"{}")
    monkeypatch.setattr(os, "walk", lambda place: pytest.fail(f"walked through {place}"))
    assert folder.disk_problem(tmp_path, 1) is None
    assert folder.disk_problem(tmp_path, None) is None
