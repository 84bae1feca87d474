"""Incidents are kept whole, in order, and totals are counted once."""

import pytest

from conspo_study.results.incidents import (
    Incident,
    IncidentType,
    append_incident,
    read_incidents,
    set_totals,
)
from conspo_study.results.names import INCIDENTS

RESTART = Incident(IncidentType.WORKER_RESTARTED, "it died\nof 'this'")


def test_a_trial_without_incidents_has_none(tmp_path):
    assert read_incidents(tmp_path) == []


def test_incidents_come_back_in_order_and_equal_ones_stay_apart(tmp_path):
    damage = Incident(IncidentType.CHECKPOINT_DAMAGED, "checkpoint_00040 ...")
    for incident in (RESTART, damage, RESTART):
        append_incident(tmp_path / "t0000", incident)
    rows = read_incidents(tmp_path / "t0000")
    assert [row["type"] for row in rows] == [
        "worker_restarted",
        "checkpoint_damaged",
        "worker_restarted",
    ]
    assert rows[0] == {"type": "worker_restarted", "detail": "it died\nof 'this'", "count": 1}


def test_totals_replace_earlier_totals_and_nothing_else(tmp_path):
    append_incident(tmp_path, RESTART)
    for count in (2, 5):
        set_totals(
            tmp_path, [Incident(IncidentType.DEGENERATE_STEP, f"seed 0: {count}", count=count)]
        )
    rows = read_incidents(tmp_path)
    assert [(row["type"], row["count"]) for row in rows] == [
        ("worker_restarted", 1),
        ("degenerate_step", 5),
    ]


def test_no_totals_make_no_file(tmp_path):
    set_totals(tmp_path, [])
    assert not (tmp_path / INCIDENTS).exists()


def test_a_bad_line_is_named(tmp_path):
    append_incident(tmp_path, RESTART)
    with (tmp_path / INCIDENTS).open("a") as file:
        file.write("{}\n")
    with pytest.raises(ValueError, match=r"incidents\.jsonl: line 2 is not an incident"):
        read_incidents(tmp_path)


def test_windows_line_ends_and_empty_lines_cost_no_incident(tmp_path):
    append_incident(tmp_path, RESTART)
    whole = read_incidents(tmp_path)
    path = tmp_path / INCIDENTS
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert read_incidents(tmp_path) == whole and len(whole) == 1
