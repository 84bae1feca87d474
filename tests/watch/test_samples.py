"""Questions about responses, against a plain reading of the same rows."""

import random
from dataclasses import asdict
from itertools import product

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conspo_study.records import EvalRow, ProblemRow, RolloutRow
from conspo_study.results.kept import read_rollouts, rollouts_path, write_rollouts
from conspo_study.results.names import trial_folder
from conspo_study.results.problems import problems_path, write_problems
from conspo_study.results.rows import eval_path, read_eval_rows, write_eval_rows
from conspo_study.watch import found
from conspo_study.watch.responses import find_responses
from conspo_study.watch.samples import MOST_TRIALS, find_samples

TRIALS = ("t0000", "t0001", "t0002")
TEXTS = ("1+1=2", "ЁЖИК (a|b)*", "x[0].*", "<b>Bold</b>", "\\boxed{7}", "a\nb", "Straße", "")
VERDICTS, ENDS = ("correct", "wrong", "no_answer"), ("stopped", "truncated")
SETS, IDS = ("chain/hard", "own set"), ("p0", "p1", "<i>p2</i>")
WHOLE = {"limit": "200"}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Three trials with responses of every kind; the last one is of an earlier version."""
    folder, rng = tmp_path_factory.mktemp("mixed"), random.Random(7)
    for trial in TRIALS:
        here, old = trial_folder(folder, trial), trial == TRIALS[-1]
        here.mkdir(parents=True)
        if not old:
            problems = [ProblemRow(s, p, f"{p} of {s}?", rng.choice(TEXTS) or None)
                        for s in SETS for p in IDS[:2]]  # fmt: skip
            write_problems(problems_path(here), problems)
        for seed, step in product((0, 1), (0, 10)):
            write_eval_rows(eval_path(here, seed, step), [
                EvalRow(seed, step, name, problem, k, rng.choice(VERDICTS), rng.choice(TEXTS),
                        rng.randrange(3, 9), rng.choice(ENDS),
                        response=None if old or k == 1 else rng.choice(TEXTS))
                for name in SETS for problem in IDS for k in (-1, 0, 1)
            ])  # fmt: skip
            write_rollouts(rollouts_path(here, seed, step), [
                RolloutRow(seed, step, group, i, IDS[group], f"{IDS[group]}?", rng.choice(TEXTS),
                           rng.choice(VERDICTS), "7", rng.choice((-1.5, -0.5, None)),
                           rng.choice((0.2, -0.1, None)), None, rng.randrange(3, 9),
                           rng.choice(ENDS), gold=None if old else rng.choice(TEXTS))
                for group in (0, 1) for i in range(4)
            ], 10**6)  # fmt: skip
    return folder


def plain(folder, trial, source):
    """All rows with everything that is known of them, by the readers of one file."""
    here = trial_folder(folder, trial)
    if source == "training":
        return [asdict(row) for row in read_rollouts(here)]
    path = problems_path(here)
    known = pq.read_table(path).to_pylist() if path.exists() else []
    problems = {(row["problem_set"], row["problem_id"]): row for row in known}
    return [
        asdict(row)
        | {name: problems.get((row.problem_set, row.problem_id), {}).get(name)
           for name in ("prompt", "gold")}
        for row in read_eval_rows(here)
    ]  # fmt: skip


def has_text(row, text):
    fields = (row[name] or "" for name in ("response", "answer", "prompt", "gold"))
    return any(text.casefold() in field.casefold() for field in fields)


TESTS = {
    "seed": lambda row, value: row["seed"] == int(value),
    "step": lambda row, value: row["step"] == int(value),
    "set": lambda row, value: row["problem_set"] == value,
    "problem": lambda row, value: row["problem_id"] == value,
    "verdict": lambda row, value: row["verdict"] == value,
    "finish": lambda row, value: row["status"] == value,
    "shortest": lambda row, value: row["response_tokens"] >= int(value),
    "longest": lambda row, value: row["response_tokens"] <= int(value),
    "text": has_text,
}
WISHES = [
    {}, {"seed": "1"}, {"step": "10", "seed": "0"}, {"problem": "<i>p2</i>"}, {"problem": "p"},
    {"finish": "truncated"}, {"verdict": "wrong", "finish": "stopped"},
    {"shortest": "4", "longest": "6"}, {"text": "(a|b)*"}, {"text": ".*"}, {"text": "ёжик"},
    {"text": "<B>"}, {"text": "[0]"}, {"text": "\\BOXED{"}, {"text": "a\nb"}, {"text": "P1 OF"},
    {"text": "p0?", "verdict": "correct"}, {"text": "never said"},
    {"text": "1+1", "problem": "p1", "step": "0"},
]  # fmt: skip


@pytest.mark.parametrize("source", ["training", "evaluation"])
@pytest.mark.parametrize("wish", [*WISHES, {"set": "own set"}, {"set": "own set", "text": "x["}])
def test_every_filter_finds_what_a_plain_reading_finds(mixed, source, wish):
    if "set" in wish and source == "training":
        with pytest.raises(ValueError, match="training has one set"):
            find_responses(trial_folder(mixed, "t0000"), {"source": source} | wish)
        return
    for trial in TRIALS:
        rows = plain(mixed, trial, source)
        expected = [r for r in rows if all(TESTS[name](r, v) for name, v in wish.items())]
        asked = {"source": source} | wish
        answer = find_responses(trial_folder(mixed, trial), asked | WHOLE)
        assert answer["rows"] == expected and answer["total"] == len(expected)
        assert answer["skipped"] == 0
        others = {name: v for name, v in wish.items() if name != "verdict"}
        kept = [r["verdict"] for r in rows if all(TESTS[n](r, v) for n, v in others.items())]
        assert answer["verdicts"] == {verdict: kept.count(verdict) for verdict in kept}


def test_rows_of_trials_follow_each_other_and_verdicts_are_by_trial(mixed):
    answer = find_samples(mixed, TRIALS[1::-1], {"source": "evaluation", "step": "10"} | WHOLE)
    expected = [
        row | {"trial": trial}
        for trial in TRIALS[1::-1]
        for row in plain(mixed, trial, "evaluation")
        if row["step"] == 10
    ]
    assert answer["rows"] == expected and [*answer["verdicts"]] == [*TRIALS[1::-1]]
    assert sum(answer["verdicts"]["t0000"].values()) == len(expected) / 2
    page = find_samples(mixed, TRIALS[1::-1], {"source": "evaluation", "step": "10",
                                               "offset": "30", "limit": "10"})  # fmt: skip
    assert page["rows"] == expected[30:40] and page["total"] == len(expected)


@pytest.mark.parametrize(
    ("source", "sort", "column"),
    [("training", "score", "score"), ("training", "credit", "credit"),
     ("training", "tokens", "response_tokens"), ("evaluation", "tokens", "response_tokens")],
)  # fmt: skip
@pytest.mark.parametrize("sign", ["", "-"])
def test_rows_are_sorted_with_unknown_values_last_and_equal_ones_in_order(
    mixed, source, sort, column, sign
):
    rows = [row | {"trial": t} for t in TRIALS for row in plain(mixed, t, source)]
    known = [row for row in rows if row[column] is not None]
    known.sort(key=lambda row: -row[column] if sign else row[column])
    expected = known + [row for row in rows if row[column] is None]
    asked = {"source": source, "sort": sign + sort}
    assert find_samples(mixed, TRIALS, asked | WHOLE)["rows"] == expected[:200]
    assert find_samples(mixed, TRIALS, asked | {"offset": "17"})["rows"] == expected[17:37]


@pytest.mark.parametrize("source", ["training", "evaluation"])
def test_groups_hold_what_the_trials_answered_to_the_same_problem(mixed, source):
    places = {
        "training": ("problem_id", "seed", "step", "group", "rollout"),
        "evaluation": ("problem_set", "problem_id", "seed", "step", "sample"),
    }
    where = places[source]
    rows = {t: {tuple(r[n] for n in where): r for r in plain(mixed, t, source)} for t in TRIALS}
    wish = {"source": source, "by": "problem", "finish": "truncated"}
    keys = sorted({key for t in TRIALS for key, row in rows[t].items()
                   if row["status"] == "truncated"})  # fmt: skip
    pages = [find_samples(mixed, TRIALS, wish | {"offset": str(at), "limit": "9"})
             for at in range(0, len(keys), 9)]  # fmt: skip
    groups = [group for page in pages for group in page["groups"]]
    assert {page["total"] for page in pages} == {len(keys)} == {len(groups)}
    for key, group in zip(keys, groups, strict=True):
        assert tuple(group[name] for name in where) == key
        assert group["rows"] == [
            rows[t][key] | {"trial": t}
            for t in TRIALS
            if rows[t].get(key, {}).get("status") == "truncated"
        ]
    assert find_samples(mixed, TRIALS, wish | {"problem": "none"})["groups"] == []


@pytest.mark.parametrize(
    ("trials", "question", "said"),
    [
        ([], {}, "name 1 to 16 trials"),
        ([f"t{i:04d}" for i in range(MOST_TRIALS + 1)], {}, "name 1 to 16 trials"),
        (["t0000", "t0000"], {}, "named twice"),
        (["t0000"], {"by": "step"}, "unknown by 'step'; known: problem"),
        (["t0000"], {"by": "problem", "sort": "tokens"}, "an order of their own"),
        (["t0000"], {"sort": "--score"}, "unknown sort '-score'; known: score, credit, tokens"),
        (["t0000"], {"sort": "-credit", "source": "evaluation"}, "have no credit"),
        (["t0000"], {"finish": "cut"}, "unknown finish 'cut'; known: stopped, truncated"),
        (["t0000"], {"text": "x" * 201}, "longer than 200"),
        (["t0000"], {"trials": "t0000"}, "unknown filter trials"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(mixed, trials, question, said):
    with pytest.raises(ValueError, match=said):
        find_samples(mixed, trials, question)


def test_a_question_reads_so_many_files_the_newest_first_and_says_so(mixed, monkeypatch):
    monkeypatch.setattr(found, "MOST_FILES", 4)
    here = trial_folder(mixed, "t0000")
    assert find_responses(here, {})["skipped"] == 0, "it has 4"
    answer = find_samples(mixed, TRIALS[:2], WHOLE)
    assert answer["skipped"] == 4 and {row["step"] for row in answer["rows"]} == {10}
    assert find_samples(mixed, TRIALS[:2], {"step": "0"} | WHOLE)["skipped"] == 0
    monkeypatch.setattr(found, "MOST_FILES", 512)
    monkeypatch.setattr(found, "MOST_MEMORY", 4000)
    answer = find_samples(mixed, TRIALS, {"text": "never said"})
    assert answer["total"] == 0 and 0 < answer["skipped"] < 12, "what does not match counts, too"


def test_one_file_cannot_take_more_memory_than_a_question(mixed, tmp_path, monkeypatch):
    monkeypatch.setattr(found, "MOST_MEMORY", 1 << 20)
    row = EvalRow(0, 0, "s", "p", 0, "wrong", "", 1, "stopped", response="x" * 100_000)
    write_eval_rows(eval_path(tmp_path, 0, 0), [row])
    table = pq.read_table(eval_path(tmp_path, 0, 0))
    pq.write_table(pa.concat_tables([table] * 100), eval_path(tmp_path, 0, 0))
    with pytest.raises(ValueError, match=r"eval-0-00000\.parquet is refused"):
        find_responses(tmp_path, {"source": "evaluation"})


def test_long_texts_are_cut_and_repeated_places_are_shown_once(tmp_path):
    here = trial_folder(tmp_path, "t0000")
    here.mkdir(parents=True)
    row = EvalRow(0, 0, "s", "p" * 50_000, 0, "wrong", "", 1, "stopped", response="x" * 50_000)
    write_eval_rows(eval_path(here, 0, 0), [row] * 3)
    asked = {"source": "evaluation"}
    (first, *others) = find_responses(here, asked)["rows"]
    assert first["response"].endswith("x\n… 30,000 more characters") and len(others) == 2
    (group,) = find_samples(tmp_path, ["t0000"], asked | {"by": "problem"})["groups"]
    assert len(group["rows"]) == 1 and len(group["problem_id"]) < 21_000


def test_the_page_asks_about_several_trials(study, watch):
    page = watch(study)
    answer = page.ask("samples?trials=t0000,t0002&source=evaluation&text=%3CSCRIPT%3E")
    assert answer["total"] == 2 and {row["trial"] for row in answer["rows"]} == {"t0000"}
    assert answer["verdicts"] == {"t0000": {"wrong": 2}, "t0002": {}}
    assert page.ask("samples?trials=t0000&by=problem&limit=3")["total"] == 12
    assert "named twice" in page.ask("samples?trials=t0000,t0000", status=400)["error"]
    assert "name 1 to 16" in page.ask("samples?source=training", status=400)["error"]
    assert "unknown filter colour" in page.ask("samples?trials=t0000&colour=1", status=400)["error"]
    for trials in ("t0000,t9999", "..%2F..", "t0000,..%2Ft0001"):
        page.ask(f"samples?trials={trials}", status=404)
