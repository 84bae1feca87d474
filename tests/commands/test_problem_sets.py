"""What a look at problem sets says about rows, gold answers and overlap."""

import json

from conspo_study.commands.command_line import main


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_rows_gold_answers_and_overlap_are_told_by_id(tmp_path, capsys):
    write(
        tmp_path / "aime2024.jsonl",
        {"id": "a", "problem": "How many?", "answer": "7"},
        {"id": "b", "problem": "Which?", "answer": "\\div"},
        {"id": "c", "problem": "None?"},
    )
    write(tmp_path / "gsm8k_train.jsonl", {"id": "t", "problem": "how  many?", "answer": "7"})
    assert main(["data", "check", "--data-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "aime24: 3 of 30 rows, 1 left out, 1 gold answers unreadable",
        "  row 3: answer is missing",
        "  b: gold answer '\\\\div'",
        "gsm8k-train: 1 of 7473 rows, 0 left out, 0 gold answers unreadable",
        "gsm8k-train and aime24 share 1: t = a",
    ]


def test_a_set_that_is_not_here_is_an_error_in_one_line(tmp_path, capsys):
    assert main(["data", "check", "--data-dir", str(tmp_path), "--sets", "aime24"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
