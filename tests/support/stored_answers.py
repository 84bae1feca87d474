"""Stored responses of which only is known whether they are right."""

from conspo_study.records import EvalRow
from conspo_study.results.rows import eval_path, write_eval_rows


def write_answers(trial, seed, step, right):
    """Write those of an evaluation into a trial's folder; returns the accuracy.

    right: bools [P, K], of K samples for each of P problems.
    """
    rows = [
        EvalRow(seed, step, "chain/hard", f"p{p:03d}", k, verdict, "1", 3, "stopped")
        for p, samples in enumerate(right)
        for k, correct in enumerate(samples)
        for verdict in ["correct" if correct else "wrong"]
    ]
    write_eval_rows(eval_path(trial, seed, step), rows)
    return float(right.mean())
