"""`conspo ls`: a line for every study, whatever state it is in."""

import json
import os
import shutil
from pathlib import Path

import pytest

from conspo_study.commands.command_line import main
from conspo_study.commands.listing import entry_of, studies_under
from conspo_study.results.lease import Lease

FROZEN = Path(__file__).resolve().parents[1] / "assets" / "results_v2"


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Three studies, one of them damaged, one in a folder of its own; others beside them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    folder = tmp_path / "results"
    for number, name in enumerate(("first", "group/ünïcødé", "broken")):
        shutil.copytree(FROZEN, folder / name)
        os.utime(folder / name / "log.jsonl", (1e9 + number, 1e9 + number))
    log = folder / "broken" / "log.jsonl"
    log.write_bytes(log.read_bytes().replace(b"0.31", b"0.32", 1))
    os.utime(log, (2e9, 2e9))
    (folder / "no_study").mkdir()
    (folder / ".hidden").mkdir()
    shutil.copy(FROZEN / "study.json", folder / ".hidden")
    return folder


def test_every_study_has_a_line_the_latest_first(results, capsys):
    assert main(["ls"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["study", "state", "trials", "best", "last", "change"]
    assert [line.split()[0] for line in lines[:3]] == ["broken", "group/ünïcødé", "first"]
    assert lines[2].split()[1:6] == ["stopped", "3", "of", "6", "0.625"]
    assert lines[2].split()[6].startswith("2001-09-")


def test_a_damaged_study_gets_a_line_that_says_why(results, capsys):
    main(["ls", "results"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:2] == ["broken", "damaged"]
    assert lines[-1].startswith("results/broken/log.jsonl: line 13 is damaged")
    assert lines[-1].endswith("conspo repair results/broken")
    assert "Traceback" not in "".join(lines)


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 1}', '{"schema": 99}', "null"])
def test_a_definition_that_cannot_be_read_is_damage_too(results, content, capsys):
    (results / "first" / "study.json").write_text(content)
    assert main(["ls"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert any(line.startswith("results/first/study.json") for line in shown)
    assert entry_of(results / "first").state == "damaged"


def test_a_study_of_which_only_the_log_is_left_is_found(results):
    (results / "first" / "study.json").unlink()
    assert results / "first" in studies_under(results)
    assert entry_of(results / "first").state == "damaged"


def test_the_table_fits_80_columns_whatever_studies_are_called(results, capsys):
    shutil.copytree(FROZEN, results / ("a" * 64))
    main(["ls"])
    table = capsys.readouterr().out.splitlines()[:5]
    assert all(len(line) <= 80 for line in table)
    assert any("…" in line for line in table)


def test_a_driver_is_told_by_where_it_is(results):
    lease = Lease(results / "first" / "driver.json")
    lease.acquire()
    assert entry_of(results / "first").state == "running"
    holder = json.loads(lease.path.read_text())
    lease.release()
    lease.path.write_text(json.dumps({**holder, "scope": "another machine"}))
    assert entry_of(results / "first").state == "elsewhere"
    lease.path.write_text(json.dumps({**holder, "process_start": 1}))
    assert entry_of(results / "first").state == "stopped"
    lease.path.write_text("{")
    assert entry_of(results / "first").state == "unclear"


def test_a_single_study_can_be_listed(results, capsys):
    assert main(["ls", "results/first"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == [".", "stopped"]


def test_a_folder_without_studies_says_so(results, capsys):
    assert main(["ls", "results/no_study"]) == 0
    assert capsys.readouterr().out == "no studies under results/no_study\n"
    assert main(["ls", "nowhere"]) == 2
    assert "there is no folder nowhere" in capsys.readouterr().err
