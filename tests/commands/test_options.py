"""Lists are typed with commas, with blanks, or by repeating the option."""

import pytest

from conspo_study.commands.options import joined
from conspo_study.commands.parsing import options_of, parse
from conspo_study.commands.run import Run
from conspo_study.commands.upkeep import Track


@pytest.mark.parametrize(
    "words",
    ["--seeds 0,1,2", "--seeds 0 1 2", "--seeds 0 --seeds 1 --seeds 2", "--seeds 0,1 --seeds 2"],
)
def test_seeds(words):
    assert joined(parse(Run, ["margin_sweep", *words.split()]).seeds) == (0, 1, 2)


def test_a_seed_that_is_no_number_is_named(capsys):
    with pytest.raises(SystemExit) as ended:
        parse(Run, ["margin_sweep", "--seeds", "0,x"], "conspo run")
    assert ended.value.code == 2
    assert "'x' is not a whole number" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", ["--to wandb,trackio", "--to wandb trackio", "--to wandb --to trackio"]
)
def test_trackers(words):
    assert joined(parse(Track, ["results/x", *words.split()]).to) == ("wandb", "trackio")


def test_assignments_keep_their_commas():
    words = ["--set", "a=1", 'b=["x", "y"]', "--set", "c=d,e", "--set", "f=-1"]
    given = joined(parse(Run, ["margin_sweep", *words]).set)
    assert given == ("a=1", 'b=["x", "y"]', "c=d,e", "f=-1")


def test_options_are_named_as_they_are_typed():
    assert {"--no-confirm", "--dry-run", "--data-dir"} <= {*options_of(Run)}
