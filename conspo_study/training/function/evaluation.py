"""Evaluation rows that a training function hands in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from conspo_study.evaluation.metrics import evaluation_metrics
from conspo_study.files import make_folders
from conspo_study.records import GREEDY, EvalRow, FinishStatus, ProblemRow, Verdict, cut
from conspo_study.results.names import INNER
from conspo_study.results.problems import add_problems, problems_path
from conspo_study.results.rows import eval_path, write_eval_rows
from conspo_study.training.function.errors import FunctionError

_VERDICTS = {True: Verdict.CORRECT, False: Verdict.WRONG, None: Verdict.UNDECIDED}
_FIELDS = {"problem", "correct", "set", "sample", "answer", "tokens", "reward"}
_TEXTS = ("response", "prompt", "gold")
"""Fields for reading alone."""


def store_rows(
    folder: Path, seed: int, step: int, rows: Iterable[Mapping[str, Any]]
) -> dict[str, float]:
    """Write the rows of one seed's evaluation into the trial's folder; returns their metrics.

    Raises FunctionError for rows that say nothing, twice the same, or not what they should.
    """
    problems: dict[tuple[str, str], ProblemRow] = {}
    found = [*_eval_rows(seed, step, rows, problems)]
    if not found:
        raise FunctionError("evaluation_rows was given no rows")
    counts = Counter((r.problem_set, r.problem_id) for r in found if r.sample != GREEDY)
    most: dict[str, int] = {}
    for (name, _), count in counts.items():
        most[name] = max(most.get(name, 0), count)
    try:
        metrics = evaluation_metrics(found, lambda name: most.get(name, 1))
    except ValueError as error:
        raise FunctionError(f"evaluation_rows: {error}") from error
    make_folders(folder, INNER)
    write_eval_rows(eval_path(folder, seed, step), found)
    if problems:
        add_problems(problems_path(folder, seed), problems.values())
    return metrics


def _eval_rows(
    seed: int,
    step: int,
    rows: Iterable[Mapping[str, Any]],
    problems: dict[tuple[str, str], ProblemRow],
) -> Iterator[EvalRow]:
    """The rows as they are stored. problems: takes in those with a prompt or a gold answer, by set
    and id."""
    seen: Counter[tuple[str, str]] = Counter()
    for row in rows:
        if unknown := set(row) - _FIELDS - {*_TEXTS}:
            raise FunctionError(
                f"evaluation_rows: unknown field {sorted(unknown)[0]!r}; known: "
                f"{', '.join(sorted(_FIELDS | {*_TEXTS}))}"
            )
        try:
            problem, correct = str(row["problem"]), row["correct"]
            verdict = _VERDICTS[None if correct is None else bool(correct)]
            name = str(row.get("set", "eval"))
            sample = row.get("sample")
            sample = seen[name, problem] if sample is None else int(sample)
            reward = row.get("reward")
            tokens, reward = int(row.get("tokens", 0)), None if reward is None else float(reward)
        except (KeyError, TypeError, ValueError) as error:
            raise FunctionError(f"evaluation_rows: a row {dict(row)!r:.200}: {error!r}") from error
        seen[name, problem] += sample != GREEDY
        answer = str(row.get("answer", ""))
        rest = (verdict.value, answer, tokens, FinishStatus.STOPPED.value, reward)
        response, prompt, gold = (_text(row.get(field)) for field in _TEXTS)
        if prompt is not None or gold is not None:
            problems.setdefault((name, problem), ProblemRow(name, problem, prompt, gold))
        yield EvalRow(seed, step, name, problem, sample, *rest, response=response)


def _text(given: Any) -> str | None:
    return None if given is None else cut(str(given))
