"""The verdict that a report leaves for status and page."""

import json

import pytest

from conspo_study.results.names import VERDICT
from conspo_study.results.verdict import keep_verdict, kept_verdict


def test_a_verdict_holds_until_the_log_goes_on(tmp_path):
    assert kept_verdict(tmp_path, 7) == ""
    keep_verdict(tmp_path, "A is better than B.", 7)
    assert kept_verdict(tmp_path, 7) == "A is better than B."
    assert kept_verdict(tmp_path, 8) == ""


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"verdict": 3, "events": 7}', '{"events": 7}', '{"verdict": "x"}', "\x00"],
)
def test_a_file_that_is_none_says_nothing(tmp_path, text):
    (tmp_path / VERDICT).write_text(text)
    assert kept_verdict(tmp_path, 7) == ""


def test_a_verdict_of_any_length_is_cut_and_a_huge_file_is_not_read(tmp_path):
    (tmp_path / VERDICT).write_text(json.dumps({"verdict": "x" * 5000, "events": 1}))
    assert len(kept_verdict(tmp_path, 1)) == 2000
    (tmp_path / VERDICT).write_text(json.dumps({"verdict": "x" * 100_000, "events": 1}))
    assert kept_verdict(tmp_path, 1) == ""
