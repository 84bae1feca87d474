"""Names become problems of the right split, and nothing is confirmed on what selected it."""

import json

import pytest

from conspo_study.config import DataConfig, EvaluationConfig
from conspo_study.data.arithmetic import LEVEL_TERMS
from conspo_study.data.problems import content_hash
from conspo_study.data.sources import data_hashes, evaluation_sets

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
