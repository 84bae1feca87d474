"""Files of any trainer become the same rows; what is wrong is one error with its place."""

import json

import pytest
from run_files import five_by_five, table, tensorboard_table, trl_history, verl_lines, wandb_chart

from analysis.findings.runs_at_step import runs_at_step
from analysis.load.runs import Reading, RunsUnreadable, read_runs, rows

VALUES = {"tau1": {0: 0.5, 1: 0.625}, "tau10": {0: 0.25, 1: 0.375}}


def write(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def each_run(folder, ending, content, form="{}-s{}"):
    for setting, by_seed in VALUES.items():
        for seed, value in by_seed.items():
            write(folder, form.format(setting, seed) + ending, content(value))
    return [folder]


def trl_state(value):
    return json.dumps({"log_history": trl_history(value), "best_metric": None, "global_step": 30})


FORMS = {
    "a table": lambda f: [write(f, "runs.csv", table(VALUES))],
    "a table with a BOM": lambda f: [write(f, "r.csv", b"\xef\xbb\xbf" + table(VALUES).encode())],
    "a table with semicolons": lambda f: [write(f, "r.csv", table(VALUES).replace(",", ";"))],
    "a table with tabs": lambda f: [write(f, "r.tsv", table(VALUES).replace(",", "\t"))],
    "TRL, lists": lambda f: each_run(f, ".json", lambda v: json.dumps(trl_history(v))),
    "TRL, checkpoints": lambda f: each_run(f, "/checkpoint-30/trainer_state.json", trl_state),
    "TRL, a folder per setting": lambda f: [
        *each_run(f, ".json", trl_state, "{}/seed-{}"),
    ],
    "verl": lambda f: each_run(f, ".jsonl", verl_lines, "{}_seed{}"),
    "TensorBoard": lambda f: each_run(f, ".csv", tensorboard_table),
    "W&B": lambda f: [write(f, "chart.csv", wandb_chart(VALUES))],
}
METRIC = {"TRL": "eval_reward", "verl": "val-core/math/acc/mean@1"}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_runs_gives_the_same_values(form, tmp_path):
    paths = FORMS[form](tmp_path)
    found = runs_at_step(read_runs(paths, Reading(metric=METRIC.get(form.split(",")[0]))))
    assert {name: dict(by_seed) for name, by_seed in found.values.items()} == VALUES


def test_several_folders_are_a_setting_each(tmp_path):
    each_run(tmp_path, ".json", trl_state, "{}/run-{}")
    folders = [tmp_path / "tau1", tmp_path / "tau10"]
    found = runs_at_step(read_runs(folders, Reading(metric="eval_reward")))
    assert {name: dict(by_seed) for name, by_seed in found.values.items()} == VALUES


def test_of_the_checkpoints_of_a_run_the_last_counts(tmp_path):
    for step in (5, 30, 10):
        state = {"log_history": trl_history(float(step), steps=(1, 5))}
        write(tmp_path, f"tau-s0/checkpoint-{step}/trainer_state.json", json.dumps(state))
        write(tmp_path, f"tau-s0/checkpoint-{step}/tokenizer_config.json", "{}")
    found = read_runs([tmp_path], Reading(metric="eval_reward"))
    assert {row.path.parent.name for row in found.rows} == {"checkpoint-30"}


def test_seeds_are_in_the_order_of_numbers(tmp_path):
    for seed in (10, 2, 1):
        write(tmp_path, f"a-s{seed}.json", json.dumps(trl_history(0.5)))
    found = read_runs([tmp_path], Reading(metric="eval_reward"))
    assert list(dict.fromkeys(row.seed for row in found.rows)) == [1, 2, 10]


def test_several_columns_name_a_setting_and_text_columns_are_in_nobody_s_way(tmp_path):
    text = "method,lr,run_seed,note,acc\ngrpo,1e-4,0.0,first run,0.5\ngrpo,3e-4,0,,0.75\n"
    reading = Reading(metric="acc", setting=("method", "lr"), seed="run_seed")
    found = read_runs([write(tmp_path, "r.csv", text)], reading)
    assert [(row.setting, row.seed, row.value) for row in found.rows] == [
        ("method=grpo, lr=1e-4", 0, 0.5),
        ("method=grpo, lr=3e-4", 0, 0.75),
    ]


def test_a_tidy_table_names_its_metrics_in_a_column(tmp_path):
    text = "setting,seed,metric,value\na,0,acc,0.5\na,0,loss,x\nb,0,acc,0.25\n"
    path = write(tmp_path, "r.csv", text)
    found = read_runs([path], Reading(metric="acc"))
    assert (found.metric, [row.value for row in found.rows]) == ("acc", [0.5, 0.25])
    with pytest.raises(RunsUnreadable, match="line 3: value is 'x', no number"):
        read_runs([path], Reading(metric="loss"))


def test_a_resumed_run_logs_steps_again_and_the_last_counts(tmp_path):
    text = verl_lines(0.5) + verl_lines(0.75, steps=(20, 30))
    found = read_runs([write(tmp_path, "a-s0.jsonl", text)], Reading(metric=METRIC["verl"]))
    assert [row.value for row in found.rows] == [0.48, 0.74, 0.75]
    assert found.notes == (
        "a-s0.jsonl: 2 steps are logged again, as by a resumed run; the last one counts.",
    )


def test_a_last_line_that_a_kill_cut_off_is_left_out_and_any_other_is_an_error(tmp_path):
    text = verl_lines(0.5)
    cut = write(tmp_path, "a-s0.jsonl", text[:-9])
    found = read_runs([cut], Reading(metric=METRIC["verl"]))
    assert [row.step for row in found.rows] == [10, 20]
    torn = write(tmp_path, "b-s0.jsonl", text.replace('"data"', '"da', 1))
    with pytest.raises(RunsUnreadable, match=r"b-s0\.jsonl, line 1: it is no JSON"):
        read_runs([torn], Reading(metric=METRIC["verl"]))


HOSTILE = {
    "nothing": ("r.csv", "", "it is empty"),
    "blanks": ("r.csv", " \n\n", "it is empty"),
    "UTF-16": ("r.csv", "setting,seed,acc\na,0,1\n".encode("utf-16"), "no text in UTF-8"),
    "a picture": ("r.csv", b"\x89PNG\r\n\x1a\n\xff\xfe", "no text in UTF-8"),
    "no seed column": ("r.csv", "setting,acc\na,1\n", "no column 'seed' among setting, acc"),
    "two equal titles": ("r.csv", "setting,seed,acc,acc\n", "line 1: two columns are named 'acc'"),
    "no metric": ("r.csv", "setting,seed\na,0\n", "it has no metric"),
    "several metrics": ("r.csv", "setting,seed,acc,loss\n", "--metric, of acc, loss"),
    "no rows": ("r.csv", "setting,seed,acc\n", "no row has a value"),
    "text": ("r.csv", "setting,seed,acc\na,0,0.5\nb,0,good\n", "line 3: acc is 'good', no number"),
    "a decimal comma": ("r.csv", 'setting,seed,acc\na,0,"0,5"\n', "line 2: acc is '0,5'"),
    "a seed in words": (
        "r.csv",
        "setting,seed,acc\na,one,0.5\n",
        "line 2: seed is 'one', no",
    ),
    "half a seed": ("r.csv", "setting,seed,acc\na,0.5,0.5\n", "seed is '0.5', no whole"),
    "a seed of many digits": ("r.csv", f"setting,seed,acc\na,{'9' * 5000},1\n", "no whole number"),
    "no setting": ("r.csv", "setting,seed,acc\n ,0,0.5\n", "line 2: setting is empty"),
    "a short row": ("r.csv", "setting,seed,acc\na,0\n", "line 2: 2 fields under 3 titles"),
    "an open quote": ("r.csv", 'setting,seed,acc\n"a,0,0.5\n', "it is no table"),
    "a huge field": ("r.csv", f"setting,seed,acc\n{'x' * 200_000},0,1\n", "it is no table"),
    "a control character": (
        "r.csv",
        "setting,seed,acc\na,0,\x1b[2J\n",
        r"acc is '\\x1b\[2J', no number",
    ),
    "JSON in vain": ("a-s0.json", "{nothing", "it is no JSON"),
    "JSON of depth": ("a-s0.json", "[" * 100_000, "it is no JSON"),
    "a number": ("a-s0.json", '{"log_history": 3}', "no list of entries"),
    "no objects": ("a-s0.json", "[1, 2]", "an entry of the log is no object"),
    "no step": ("a-s0.json", '[{"r": 1}]', "an entry has the step None"),
    "a step in words": ("a-s0.json", '[{"step": "x", "r": 1}]', "an entry has the step 'x'"),
    "a step that is none": ("a-s0.json", '[{"step": NaN, "r": 1}]', "an entry has the step nan"),
    "a value in words": (
        "a-s0.json",
        '[{"step": 1, "r": 1}, {"step": 2, "r": "x"}]',
        "r is 'x' at step 2",
    ),
    "a name without a seed": ("state.json", '[{"step": 1, "r": 1}]', "no setting and seed"),
    "runs without seeds": ("r.csv", "Step,sunny-sea - acc\n1,0.5\n", "'sunny-sea' does not say"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_file_that_cannot_be_used_is_one_error(what, tmp_path):
    name, content, message = HOSTILE[what]
    path = write(tmp_path, name, content)
    with pytest.raises(RunsUnreadable, match=message) as caught:
        read_runs([path], Reading())
    said = str(caught.value)
    assert said.startswith(str(path)) and "\n" not in said and len(said) < 600


def test_files_are_bounded(tmp_path, monkeypatch):
    path = write(tmp_path, "r.csv", table(five_by_five()))
    monkeypatch.setattr("analysis.load.runs.read.MOST_ROWS", 24)
    with pytest.raises(RunsUnreadable, match="more than 24 values"):
        read_runs([path], Reading())
    huge = tmp_path / "huge.csv"
    with huge.open("wb") as file:
        file.truncate(rows.MOST_BYTES + 1)
    with pytest.raises(OSError, match="no such file has more than"):
        read_runs([huge], Reading())


def test_a_pipe_is_not_waited_for(tmp_path):
    import os

    os.mkfifo(tmp_path / "runs.csv")
    with pytest.raises(OSError, match="pipe"):
        read_runs([tmp_path / "runs.csv"], Reading())


def test_a_file_named_twice_and_metrics_that_differ_are_refused(tmp_path):
    path = write(tmp_path, "runs.csv", table(VALUES))
    with pytest.raises(RunsUnreadable, match="named twice"):
        read_runs([path, tmp_path / "." / "runs.csv"], Reading())
    other = write(tmp_path, "other.csv", table(VALUES, "loss"))
    with pytest.raises(RunsUnreadable, match=r"its metric is loss, that of .* accuracy"):
        read_runs([path, other], Reading())


def test_links_in_a_folder_are_not_followed(tmp_path):
    secret = write(tmp_path / "elsewhere", "b-s0.json", json.dumps(trl_history(0.5)))
    write(tmp_path / "runs", "a-s0.json", json.dumps(trl_history(0.5)))
    (tmp_path / "runs" / "b-s1.json").symlink_to(secret)
    found = read_runs([tmp_path / "runs"], Reading(metric="eval_reward"))
    assert {row.setting for row in found.rows} == {"a"}
