"""Messages between workers: exact, and harmless when they are malformed."""

import json
import math
from collections import Counter
from pathlib import Path

import gloo_worker
import pytest

from conspo_study.records import (
    Angle,
    Correlation,
    CreditRow,
    EvalRow,
    FinishStatus,
    Mean,
    Peak,
    Quantile,
    Rollout,
    RolloutRow,
    Verdict,
)
from conspo_study.update.checkpoint_store import Resumable
from conspo_study.update.wire import MalformedMessage, decoded, encoded

ITEMS = [
    None, True, 0, -(2**70), 0.1 + 0.2, -0.0, 5e-324, 1.7976931348623157e308, math.inf, -math.inf,
    "", "\ud800 alone, \x00 and ≤", [], [[1], []], (), ((1, 2.0), [None]), {},
    (1,) * 20, (0.1 + 0.2, -0.0, math.inf) * 9, (1, 2.5) * 9, (True,) * 20, (2**70,) * 20,
    {"tuple": [1], "Mean": {"dict": 5}}, {0.5: 1, (1, "a"): (2,), None: {}},
    Mean(0.1, 3), Peak(-math.inf), Correlation(2, 0.1, 0.2, 0.3, 0.4, 0.5),
    Angle(0.1, 0.2, 0.3, 0.4, 0.5),
    [Rollout((1, 2), (-0.1, -1e-300), FinishStatus.TRUNCATED, "text", 3)],
    EvalRow(0, 20, "set", "p", -1, Verdict.WRONG, "x", 7, FinishStatus.STOPPED, None, 2),
    CreditRow(0, 1, "p", 2, True, -0.5, 0.25, 9),
    RolloutRow(0, 1, 2, 3, "p", "q", "r", "wrong", "", None, None, 1.5, 4, "stopped", 0.1),
]  # fmt: skip


@pytest.mark.parametrize("item", ITEMS, ids=repr)
def test_what_arrives_is_what_was_sent(item):
    arrived = decoded(encoded(item))
    assert arrived == item and type(arrived) is type(item)
    assert repr(arrived) == repr(item), "signs of zeros and kinds of numbers, too"


def test_numbers_that_are_none_and_kinds_of_words_arrive():
    value = decoded(encoded({"a": Peak(math.nan)}))["a"].value
    assert math.isnan(value)
    status = decoded(encoded(ITEMS[-4]))[0].status
    assert status is FinishStatus.TRUNCATED
    quantile = Quantile(0.5, Counter({0.1: 2, -0.0: 1}))
    assert decoded(encoded(quantile)) + quantile == quantile + quantile


@pytest.mark.parametrize("item", [object(), {1, 2}, b"bytes", Path("x"), json.loads])
def test_anything_else_is_refused_by_the_sender(item):
    with pytest.raises(TypeError, match="workers do not exchange a"):
        encoded([item])


@pytest.mark.parametrize("message", [*gloo_worker.MALFORMED[:-1], b""], ids=lambda m: repr(m[:20]))
def test_a_malformed_message_is_an_error(message):
    with pytest.raises(MalformedMessage):
        decoded(message)


def test_a_checkpoint_to_continue_from_is_told_to_the_others():
    state = {"step": 3, "runs": {"0": {"latest": {"loss": math.inf}}}}
    for folder in (None, Path("/a/checkpoint_00003")):
        here = Resumable(folder, state, ("one is damaged",))
        assert Resumable.from_told(decoded(encoded(here.told()))) == here


def test_real_workers_gather_exactly_and_name_the_one_whose_message_is_malformed(tmp_path):
    gloo_worker.run_workers("gather", 2, tmp_path)
    for rank in range(2):
        first, *errors, last = json.loads((tmp_path / f"gathered-{rank}.json").read_text())
        assert first == repr(gloo_worker.ITEMS)
        assert len(errors) == len(gloo_worker.MALFORMED)
        for error in errors[:-1]:
            assert error.startswith("worker 1 sent a malformed message: "), error
        assert errors[-1] == "worker 1 announced a message of 2000 bytes"
        assert last == [0, 1], "the next exchange is not disturbed"
