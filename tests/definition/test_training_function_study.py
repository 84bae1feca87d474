"""A study of a training function: its declaration, its free names, and what it refuses."""

import json

import pytest

from conspo_study.config import ConfigError, FunctionConfig, config_hash, flatten, with_overrides
from conspo_study.definition import Anchor, Choice, Confirmation, EarlyStopping, Range
from conspo_study.definition.batches import confirmation_batch
from conspo_study.definition.foreign_code import imports_of, modules_of
from conspo_study.results.own_code import own_modules
from conspo_study.study import Study
from conspo_study.study.trust import code_named


def study(**changes):
    fields = {
        "name": "own",
        "train": "my_package.my_module:train",
        "steps": 100,
        "params": {"batch": 32, "split": "dev"},
        "space": {"lr": Range(low=1e-5, high=1e-3, log=True), "tau": Choice(values=(0.5, 1.0))},
        "anchors": (Anchor(label="usual", params={"lr": 1e-4, "tau": 1.0}),),
        "trials": 4,
        "seeds": (0, 1),
        "metric": "eval/accuracy",
    }
    return Study(**{name: v for name, v in (fields | changes).items() if v is not ...})


def problem(**changes):
    with pytest.raises(ValueError) as raised:
        study(**changes)
    return str(raised.value)


def test_the_declaration_is_stored_and_read_again():
    declared = study(workers=2, resources={"CPU": 3, "GPU": 0.5})
    stored = json.loads(json.dumps(declared.frozen()))
    assert stored["base"] == {
        "function": "my_package.my_module:train",
        "params": {"batch": 32, "split": "dev"},
        "train": {"steps": 100, "workers": 2, "cpus_per_worker": 3, "gpus_per_worker": 0.5},
    }
    assert Study.model_validate(stored) == declared
    assert Study.model_validate(stored).hash == declared.hash


def test_the_hash_sees_the_function_and_everything_else_but_the_budget():
    declared = study()
    assert study(trials=9).hash == declared.hash
    for change in (
        {"train": "my_package.my_module:other"},
        {"steps": 101},
        {"params": {"batch": 33, "split": "dev"}},
        {"resources": {"CPU": 2}},
        {"metric": "loss"},
    ):
        assert study(**change).hash != declared.hash, change


def test_a_function_stands_for_its_import_path():
    assert study(train=json.dumps).function.function == "json:dumps"
    assert "define it with `class` or `def`" in problem(train=lambda params, seed, trial: None)


def test_parameters_have_free_names_and_are_the_settings_of_a_trial():
    base = study().base
    assert isinstance(base, FunctionConfig)
    changed = with_overrides(base, {"lr": 1e-4, "batch": 8, "train.steps": 7})
    assert changed.params == {"batch": 8, "split": "dev", "lr": 1e-4}
    assert changed.train.steps == 7
    assert flatten(changed)["lr"] == 1e-4 and flatten(changed)["train.workers"] == 1
    assert config_hash(changed) != config_hash(base)
    with pytest.raises(ConfigError, match=r"objective\.tau: unknown setting; a parameter"):
        with_overrides(base, {"objective.tau": 1})
    with pytest.raises(ConfigError, match="lr: nan is not a plain value"):
        with_overrides(base, {"lr": float("nan")})
    with pytest.raises(ConfigError, match="steps = 0: should be greater than or equal to 1"):
        with_overrides(base, {"train.steps": 0})


def test_numbers_of_seeds_are_drawn_from_the_root_seed():
    declared = study(seeds=3, confirm=5)
    assert len({*declared.seeds, *declared.confirm.seeds}) == 8
    assert study(seeds=4, confirm=5).seeds[:3] == declared.seeds
    assert study(seeds=3, confirm=5) == declared
    assert study(seeds=3, confirm=5, root_seed=1).seeds != declared.seeds
    assert Study.model_validate(declared.frozen()) == declared
    assert "a number of seeds is from 1" in problem(seeds=0)


def test_a_confirmation_has_no_settings_of_the_built_in_evaluation():
    assert study(confirm=Confirmation(seeds=(5, 6))).confirm.overrides == {}
    declared = study(confirm=Confirmation(seeds=(5, 6), overrides={"split": "test"}))
    assert confirmation_batch(declared).run.params["split"] == "test"


def test_a_trial_may_be_stopped_at_any_step_at_which_others_were_measured():
    assert study().looks == range(50, 100)
    assert study(early_stopping=EarlyStopping(min_fraction=0.123)).looks == range(13, 100)
    assert not study(early_stopping=None).looks and not study(seeds=(0,)).looks


def test_its_code_is_that_of_the_function():
    declared = study(params={"batch": 32, "split": "a:b"}, plugins=("json",))
    assert set(modules_of(declared)) == {"json", "my_package.my_module"}
    assert imports_of(declared) == ("json",)
    stored = declared.frozen()
    assert own_modules(stored) == ["json", "my_package.my_module"]
    assert code_named(stored) == ["the modules json, my_package.my_module"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": "my_module"}, "function = 'my_module': give a function, or its import path"),
        ({"steps": ...}, "steps is needed: the number of the step that the function reports last"),
        ({"steps": 0}, "train.steps = 0: should be greater than or equal to 1"),
        ({"base": {}}, "give base, for the built-in training, or train, for a function; not both"),
        ({"resources": {"TPU": 1}}, 'write {"CPU": 1, "GPU": 0}, for each worker'),
        ({"resources": {"CPU": 0}}, "train.cpus_per_worker = 0: should be greater than or equal"),
        ({"resources": {"GPU": 1.5}}, "1.5 GPUs are neither a whole number nor a share of one"),
        ({"workers": 0}, "train.workers = 0: should be greater than or equal to 1"),
        ({"params": {"a b": 1}}, "'a b' is no name of a parameter: write it like a variable"),
        ({"params": {"x": float("inf")}}, "x: inf is not a plain value"),
        ({"params": {"x": object}}, "is not a plain value: give a finite number, text"),
        ({"space": {"learning rate": [1, 2]}}, "'learning rate' is no name of a parameter"),
        ({"space": {"update.lr": [1, 2]}}, "update.lr: unknown setting; a parameter of a training"),
        ({"space": {"lr": [1, 1.0]}}, "lr: 1 and 1.0 are the same"),
        (
            {"anchors": (Anchor(label="odd", params={"lrr": 1}),)},
            "anchor 'odd': lrr is neither in params nor in the space (did you mean lr?)",
        ),
        (
            {"confirm": Confirmation(seeds=(5,), overrides={"lr": 1})},
            "confirm: lr is what trials are compared by, and must stay the same",
        ),
        (
            {"confirm": Confirmation(seeds=(5,), overrides={"spilt": "x"})},
            "confirm: spilt is neither in params nor in the space (did you mean split?)",
        ),
        ({"confirm": Confirmation(seeds=(1,))}, "confirm: seeds 1 selected the winner"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(changes, message):
    assert message in problem(**changes)
