"""Names become problems of the right split, and nothing is confirmed on what selected it."""

import json

import pytest

from conspo_study.config import DataConfig, EvaluationConfig
from conspo_study.data import check, sources
from conspo_study.data.arithmetic import LEVEL_TERMS
from conspo_study.data.check import LeftOut, check_data
from conspo_study.data.problems import ProblemFileError, content_hash
from conspo_study.data.sources import file_of, training_stream


def evaluation_sets(config):
    return sources.evaluation_sets(DataConfig(), config)


def data_hashes(*configs):
    return check_data(*configs).hashes


SETS = tuple(f"chain/{level}" for level in LEVEL_TERMS)


def write(path, *texts):
    rows = [{"id": f"{path.stem}-{i}", "problem": t, "answer": "1"} for i, t in enumerate(texts)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_the_splits_of_a_generated_set_share_no_problem():
    dev = evaluation_sets(EvaluationConfig(sets=SETS))
    test = evaluation_sets(EvaluationConfig(sets=SETS, split="test"))
    assert dev.keys() == test.keys() == set(SETS), "the names of metrics do not change"
    for name in SETS:
        assert len(dev[name]) == len(test[name]) == 96
        assert not {p.text for p in dev[name]} & {p.text for p in test[name]}
        assert not {p.id for p in dev[name]} & {p.id for p in test[name]}


def test_a_file_is_used_as_a_whole_for_either_split_unless_its_path_names_the_split(tmp_path):
    whole = write(tmp_path / "all.jsonl", "a", "b")
    write(tmp_path / "x-dev.jsonl", "c")
    write(tmp_path / "x-test.jsonl", "d")
    template = str(tmp_path / "x-{split}.jsonl")
    for split, text in (("dev", "c"), ("test", "d")):
        config = EvaluationConfig(sets=(whole, template), split=split)
        sets = evaluation_sets(config)
        assert [p.text for p in sets[whole]] == ["a", "b"]
        assert [p.text for p in sets[template]] == [text]


def test_hashes_cover_what_the_confirmation_will_use():
    search = EvaluationConfig(sets=("chain/easy", "chain/hard"), problems_per_set=4)
    test = EvaluationConfig(sets=("chain/hard",), problems_per_set=4, split="test")
    before, found = data_hashes(DataConfig(), search), data_hashes(DataConfig(), search, test)
    assert set(before) == {"chain/easy", "chain/hard"}
    assert found == before | {"chain/hard (test)": found["chain/hard (test)"]}
    assert found["chain/hard (test)"] == content_hash(evaluation_sets(test)["chain/hard"])
    assert len(set(found.values())) == 3


def test_the_last_evaluation_has_more_problems_and_begins_with_those_of_the_others(tmp_path):
    path = write(tmp_path / "all.jsonl", *"abcdef")
    few = EvaluationConfig(
        sets=("chain/hard", "chain/easy", path), tracked=("chain/hard", path), problems_per_set=3
    )
    more = few.model_copy(update={"final_problems": 8})
    a, b = evaluation_sets(few), evaluation_sets(more)
    assert {name: len(problems) for name, problems in b.items()} == {
        "chain/hard": 8,
        "chain/easy": 3,
        path: 6,
    }
    assert all(b[name][:3] == a[name] for name in a)
    assert [more.problems_for("chain/hard", last) for last in (False, True)] == [3, 8]
    hashes = data_hashes(DataConfig(), more)
    assert hashes["chain/hard"] == content_hash(b["chain/hard"])
    assert hashes["chain/easy"] == data_hashes(DataConfig(), few)["chain/easy"]


def test_a_level_that_is_too_small_for_the_last_evaluation_says_what_to_lower():
    config = EvaluationConfig(sets=("chain/easy",), problems_per_set=3, final_problems=300)
    with pytest.raises(ValueError, match=r"fewer than the 300 requested.*final_problems"):
        evaluation_sets(config)


def test_more_problems_of_the_same_set_are_hashed_once(tmp_path):
    path = write(tmp_path / "all.jsonl", "a", "b", "c")
    few, many = (EvaluationConfig(sets=(path,), problems_per_set=n) for n in (1, 3))
    assert data_hashes(DataConfig(), few, many) == data_hashes(DataConfig(), many)
    assert data_hashes(DataConfig(), many, few) == data_hashes(DataConfig(), many)


def test_the_test_file_is_read_before_the_search_starts(tmp_path):
    write(tmp_path / "x-dev.jsonl", "c")
    search = EvaluationConfig(sets=(str(tmp_path / "x-{split}.jsonl"),))
    with pytest.raises(ValueError, match=r"x-test\.jsonl"):
        data_hashes(DataConfig(), search, search.model_copy(update={"split": "test"}))


def test_a_winner_is_not_confirmed_on_problems_that_selected_it(tmp_path):
    write(tmp_path / "x-dev.jsonl", "what is 1+1?", "b")
    write(tmp_path / "x-test.jsonl", "What is  1+1?", "c")
    search = EvaluationConfig(sets=(str(tmp_path / "x-{split}.jsonl"),))
    with pytest.raises(ValueError, match=r"1 problems of .*x-test.* are also in .*x-dev.*x-dev-0"):
        data_hashes(DataConfig(), search, search.model_copy(update={"split": "test"}))


@pytest.mark.parametrize("split", ["dev", "test"])
def test_training_on_any_evaluated_problem_is_refused(tmp_path, split):
    train = write(tmp_path / "train.jsonl", "q1", "q2")
    write(tmp_path / "x-dev.jsonl", "q1" if split == "dev" else "d")
    write(tmp_path / "x-test.jsonl", "q1" if split == "test" else "t")
    search = EvaluationConfig(sets=(str(tmp_path / "x-{split}.jsonl"),))
    test = search.model_copy(update={"split": "test"})
    with pytest.raises(ValueError, match=rf"x-{split}.* are also in the training file \(train-0"):
        data_hashes(DataConfig(train=train), search, test)


def trained(data, evaluation):
    stream = training_stream(data, evaluation, seed=0)
    return {stream.problem(position).id for position in range(100)}


def test_overlap_is_dropped_from_training_when_asked_and_every_problem_named(tmp_path):
    train = write(tmp_path / "train.jsonl", "q1", "q2", "q3", "q4")
    dev = write(tmp_path / "x-dev.jsonl", "d", "Q1")
    test = write(tmp_path / "x-test.jsonl", "$q3$")
    name = dev.replace("dev", "{split}")
    data = DataConfig(train=train, on_overlap="drop")
    search = EvaluationConfig(sets=(name,))
    confirmation = search.model_copy(update={"split": "test"})
    found = check_data(data, search, confirmation)
    assert found.left_out == (
        LeftOut(train, None, "train-0", f"is x-dev-1 of {dev}"),
        LeftOut(train, None, "train-2", f"is x-test-0 of {test}"),
    )
    for evaluation in (search, confirmation):
        assert trained(data, evaluation) == {"train-1", "train-3"}
    stays = write(tmp_path / "stays.jsonl", "q2", "q4")
    texts = [problem.text for problem in sources.load_set(stays, data)[0]]
    kept = sources.without(
        sources.load_set(train, data)[0],
        sources.overlaps(sources.load_set(train, data)[0], data, search),
    )
    assert [problem.text for problem in kept] == texts
    assert found.hashes[train] == content_hash(kept)


def test_what_is_trained_on_does_not_depend_on_how_much_is_measured(tmp_path):
    train = write(tmp_path / "train.jsonl", "q1", "q2")
    name = write(tmp_path / "e.jsonl", "d", "q1")
    data = DataConfig(train=train, on_overlap="drop")
    for most in (1, 2):
        assert trained(data, EvaluationConfig(sets=(name,), problems_per_set=most)) == {"train-1"}


def test_a_confirmation_that_would_train_on_other_problems_is_refused(tmp_path):
    train = write(tmp_path / "train.jsonl", "q1", "q2")
    search = EvaluationConfig(sets=(write(tmp_path / "a.jsonl", "d"),))
    other = EvaluationConfig(sets=(write(tmp_path / "b.jsonl", "q1"),))
    with pytest.raises(ValueError, match="would train on different problems"):
        check_data(DataConfig(train=train, on_overlap="drop"), search, other)


def test_nothing_left_to_train_on_is_refused(tmp_path):
    train = write(tmp_path / "train.jsonl", "q1")
    search = EvaluationConfig(sets=(write(tmp_path / "a.jsonl", "q1"),))
    with pytest.raises(ValueError, match="none remain for training"):
        check_data(DataConfig(train=train, on_overlap="drop"), search)


def test_bad_rows_of_every_set_are_listed_and_hashes_are_of_what_is_used(tmp_path):
    train = write(tmp_path / "train.jsonl", *(f"q{i}" for i in range(3)))
    clean = check_data(DataConfig(train=train), EvaluationConfig(sets=("chain/easy",)))
    with (tmp_path / "train.jsonl").open("a") as file:
        file.write('{"id": "x", "problem": "p"}\n')
    data = DataConfig(train=train, max_bad_rows=0.5)
    found = check_data(data, EvaluationConfig(sets=("chain/easy",)))
    assert found.left_out == (LeftOut(train, 4, None, "answer is missing"),)
    assert found.lines() == [f"{train}: 1 left out (row 4: answer is missing)"]
    assert found.hashes == clean.hashes and not clean.left_out


def test_a_named_set_is_read_from_the_folder_under_any_of_its_names(tmp_path):
    write(tmp_path / "aime2024.jsonl", "old")
    data = DataConfig(folder=str(tmp_path))
    assert file_of("aime24", data) == tmp_path / "aime2024.jsonl"
    write(tmp_path / "aime24.jsonl", "own")
    config = EvaluationConfig(sets=("aime24",))
    assert [p.text for p in sources.evaluation_sets(data, config)["aime24"]] == ["own"]
    found = check_data(data, config)
    assert set(found.hashes) == {"aime24"}
    assert found.notes == ("aime24: 1 rows, expected 30",)


def test_a_named_set_that_the_folder_lacks_is_fetched_once_and_then_read(tmp_path, monkeypatch):
    monkeypatch.setenv("CONSPO_STUDY_CACHE", str(tmp_path / "cache"))
    (tmp_path / "folder").mkdir()
    data = DataConfig(folder=str(tmp_path / "folder"))
    config = EvaluationConfig(sets=("aime24",))
    fetched = []

    def fetch(entry):
        fetched.append(entry.name)
        path = file_of(entry.name, data)
        path.parent.mkdir(parents=True)
        write(path, "p")

    monkeypatch.setattr(check, "fetch", fetch)
    assert check.missing_sets(data, config) == ["aime24"]
    check_data(data, config)
    assert check.missing_sets(data, config) == []
    check_data(data, config)
    assert fetched == ["aime24"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("aime42", "did you mean aime2"), ("xyz", "known: aime24, "), ("x.jsonl", "cannot be read")],
)
def test_a_set_that_is_nothing_is_refused_with_what_is_known(name, message):
    with pytest.raises(ProblemFileError, match=message):
        sources.load_set(name, DataConfig())


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(ProblemFileError, match="is not a folder; correct --data-dir"):
        file_of("aime24", DataConfig(folder=str(tmp_path / "none")))


@pytest.mark.parametrize("task", ["chain", "word_problems"])
def test_files_in_a_folder_called_like_a_generated_task_are_files(task, tmp_path, monkeypatch):
    (tmp_path / task).mkdir()
    monkeypatch.chdir(tmp_path)
    write(tmp_path / task / "train.jsonl", "a", "b")
    write(tmp_path / task / "held-dev.jsonl", "c")
    data = DataConfig(train=f"{task}/train.jsonl")
    search = EvaluationConfig(sets=(f"{task}/held-{{split}}.jsonl",))
    hashes = data_hashes(data, search)
    assert set(hashes) == {f"{task}/train.jsonl", f"{task}/held-dev.jsonl"}
    assert {training_stream(data, search, 0).problem(i).text for i in range(2)} == {"a", "b"}
    write(tmp_path / task / "held-test.jsonl", "b")
    with pytest.raises(ValueError, match=r"held-test\.jsonl are also in the training file"):
        data_hashes(data, search)


def test_a_level_is_nothing_to_train_on():
    with pytest.raises(ProblemFileError, match="word_problems/one_step is neither a file nor"):
        check_data(DataConfig(train="word_problems/one_step"), EvaluationConfig(sets=SETS))
