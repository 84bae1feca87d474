"""A space fits its settings: whole numbers, conditions of objectives, values that they hold."""

import json
from collections import Counter

import pytest
from study_fixtures import MARGIN, SCHEDULE, TAU, MemoryLog, definition

from conspo_study.config import ConfigError, ObjectiveOptions, with_overrides
from conspo_study.config.objectives import OPTIONS, register_options
from conspo_study.definition import Anchor, Sampler, StudyDefinition
from conspo_study.definition.presets import QUICK
from conspo_study.definition.space import Choice, Range, When, contains
from conspo_study.records import EventKind
from conspo_study.search import Search

GROUP, NAME, CAP = "rollout.group_size", "objective.name", "update.importance_cap"
PROMPTS, WORKERS = "rollout.prompts_per_step", "train.workers"
CHECKPOINTING, TARGETS = "policy.gradient_checkpointing", "policy.lora_targets"
SAMPLERS = ("tpe", "gp", "qmc", "random", "grid")
METHODS = Choice(values=("conspo", "grpo"))


def study(space, sampler="tpe", trials=12, anchors=(), **more):
    chosen = Sampler(name=sampler, startup_trials=2)
    fields = {"anchors": anchors, "early_stopping": None, "sampler": chosen, "trials": trials}
    return definition(space=space, **fields, **more)


def searched(declared):
    """The params of all trials of a study, from a search that a log went through."""
    log = MemoryLog()
    search = Search(declared, log)
    value = 0
    while suggestion := search.suggest():
        value += 1
        search.started(suggestion.trial)
        scores = {str(seed): value % 5 / 5 for seed in suggestion.seeds}
        end = {"step": 4, "value": value % 5 / 5, "values": scores}
        search.ended(suggestion.trial, EventKind.FINISHED, end)
    assert search.complete
    return [dict(row.params) for row in log.table.rows]


def refused(space, sampler="tpe", **changes):
    with pytest.raises(ConfigError) as caught:
        study(space, sampler, **changes)
    return list(caught.value.problems)


def distinct(found):
    return len({json.dumps(params, sort_keys=True) for params in found})


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(
    ("space", "count"),
    [
        ({GROUP: Range(low=2, high=6)}, 5),
        ({GROUP: Range(low=2, high=6, log=True)}, 5),
        ({CAP: Choice(values=(None, 2.0, 5.0))}, 3),
        ({CHECKPOINTING: Choice(values=(True, False))}, 2),
        ({TARGETS: Choice(values=(["q_proj"], ("q_proj", "v_proj")))}, 2),
        ({PROMPTS: Choice(values=(4, 6)), WORKERS: Choice(values=(1, 2, 4))}, 5),
        ({PROMPTS: Choice(values=(4, 6)), WORKERS: Choice(values=(1, 3))}, 3),
        ({TAU: [0.1, 1, 3.0]}, 3),
    ],
)
def test_every_valid_point_is_tried_by_every_sampler(space, count, sampler):
    declared = study(space, sampler)
    found = searched(declared)
    assert len(found) == distinct(found) == count
    assert all(contains(declared.space, params) for params in found)


CONDITIONAL = {NAME: METHODS, TAU: Choice(values=(0.1, 1.0))}


@pytest.mark.parametrize("sampler", ["tpe", "qmc", "random", "grid"])
def test_a_setting_of_some_objectives_exists_where_they_are_chosen(sampler):
    declared = study(CONDITIONAL, sampler)
    assert declared.space[TAU].when == When(path=NAME, values=("conspo",))
    found = searched(declared)
    assert Counter(params[NAME] for params in found) == {"conspo": 2, "grpo": 1}


@pytest.mark.parametrize("sampler", ["tpe", "qmc", "random"])
def test_conditions_of_users_and_of_objectives_hold_together(sampler):
    space = {
        NAME: METHODS,
        GROUP: Choice(values=(4, 8)),
        TAU: Range(low=0.1, high=1.0, when=When(path=GROUP, values=(8,))),
        "objective.clip_low": Range(low=0.1, high=0.3),
        SCHEDULE: Choice(values=("off", "cosine")),
        MARGIN: Range(low=0.1, high=1.0, when=When(path=SCHEDULE, values=("cosine",))),
    }
    declared = study(space, sampler, trials=20)
    # The margin exists where a schedule does, which exists for ConSPO alone.
    assert declared.space[MARGIN] == space[MARGIN]
    found = searched(declared)
    assert len(found) == 20
    assert {params[NAME] for params in found} == {"conspo", "grpo"}
    for params in found:
        of_conspo = params[NAME] == "conspo"
        assert (TAU in params) == (of_conspo and params[GROUP] == 8)
        assert ("objective.clip_low" in params) != of_conspo


def test_a_gaussian_process_is_refused_a_setting_of_some_objectives():
    (problem,) = refused(CONDITIONAL, "gp")
    assert problem.startswith("space: objective.tau: exists only for some values of objective.name")
    assert "only conspo have it" in problem


def test_an_anchor_may_choose_an_objective_outside_of_the_space():
    anchors = (
        Anchor(label="other", params={NAME: "dapo", "objective.clip_high": 0.3}),
        Anchor(label="in it", params={NAME: "grpo"}),
    )
    found = searched(study(CONDITIONAL, anchors=anchors))
    assert found[0] == anchors[0].params
    assert distinct(found) == len(found) == 4  # both anchors, and ConSPO at two temperatures


def test_objectives_of_users_are_looked_up_by_name():
    class GapHinge(ObjectiveOptions):
        name: str = "test_gap_hinge"
        gap: float
        rounds: int | None = None

    register_options(GapHinge)
    try:
        space = {
            NAME: Choice(values=("test_gap_hinge", "grpo")),
            "objective.gap": Range(low=0.5, high=1.0),
            "objective.rounds": Range(low=1, high=3),
        }
        declared = study(space, trials=8)
        assert declared.space["objective.rounds"].integer
        assert declared.space["objective.gap"].when == When(path=NAME, values=("test_gap_hinge",))
        found = searched(declared)
        assert {params[NAME] for params in found} == {"test_gap_hinge", "grpo"}
    finally:
        del OPTIONS["test_gap_hinge"]


@pytest.mark.parametrize(
    "space",
    [
        {GROUP: Range(low=2, high=8), **CONDITIONAL},
        {CAP: Choice(values=(None, 2)), TAU: Range(low=0.1, high=1)},
        {"data.template": Choice(values=("boxed", "{problem}"))},
    ],
)
def test_what_is_stored_is_what_is_run(space):
    declared = study(space)
    again = StudyDefinition.model_validate(json.loads(json.dumps(declared.frozen())))
    assert again == declared
    assert again.hash == declared.hash
    assert searched(again) == searched(declared)


def test_definitions_without_whole_numbers_are_written_as_they_always_were():
    space = {TAU: Range(low=1, high=10), MARGIN: Choice(values=(1, 2.5, 0))}
    assert study(space).frozen()["space"] == {
        TAU: {"kind": "range", "low": 1.0, "high": 10.0, "log": False, "when": None},
        MARGIN: {"kind": "choice", "values": [1, 2.5, 0], "when": None},
    }
    assert definition().hash == "4ad82c4f4f00"  # without ranges of whole numbers, too


def test_a_name_of_a_prompt_is_the_prompt_wherever_it_stands():
    space = {
        "data.template": Choice(values=("boxed", "{problem}")),
        TAU: Choice(values=(1.0,), when=When(path="data.template", values=("boxed",))),
    }
    declared = study(space, anchors=(Anchor(label="a", params={"data.template": "boxed"}),))
    text = with_overrides(QUICK, {"data.template": "boxed"}).data.template
    assert declared.space["data.template"].values == (text, "{problem}")
    assert declared.space[TAU].when.values == (text,)
    assert declared.anchors[0].params == {"data.template": text}


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({GROUP: Range(low=2.5, high=8)}, "rollout.group_size: its range has whole numbers only, "),
        ({GROUP: Range(low=2.5, high=8)}, "ends at 2.5: write Range(low=3, high=8)"),
        ({GROUP: Range(low=1, high=8)}, "rollout.group_size = 1: should be greater than or equal"),
        ({SCHEDULE: Range(low=0, high=1)}, "takes no range of numbers: write Choice(values=('cosi"),
        ({CHECKPOINTING: Range(low=0, high=1)}, "write Choice(values=(True, False))"),
        ({TAU: Range(low=1, high=0.1)}, "objective.tau: a range needs low < high"),
        ({TAU: Range(low="a", high=0.1)}, "objective.tau: low='a' is not a finite number"),
        ({TAU: Choice(values=())}, "objective.tau: a choice needs at least one value"),
        ({TAU: Choice(values=(None, 2.0))}, "objective.tau = None: takes a number greater than 0"),
        ({TAU: Choice(values=(0.1, "1"))}, "objective.tau: '1' is text, and the setting holds a n"),
        ({TAU: Choice(values=(0.1, "1"))}, "write 1.0"),
        ({TAU: Choice(values=(True, 2.0))}, "objective.tau: True is true or false"),
        ({TAU: Choice(values=(1, 1.0))}, "objective.tau: 1 and 1.0 are the same"),
        ({TAU: Choice(values=(float("nan"),))}, "objective.tau: nan is not a plain value"),
        ({TAU: Choice(values=(object,))}, "objective.tau: <class 'object'> is not a plain value"),
        ({CHECKPOINTING: Choice(values=(True, 1))}, "1 is a number, and the setting holds true or"),
        ({TARGETS: Choice(values=("q_proj",))}, 'takes a list, such as ["q_proj"]'),
        ({TARGETS: Choice(values=(["q"], ("q",)))}, "are the same: the values of a choice must be"),
        (
            {TAU: 1.0},
            "space: objective.tau = 1.0: 1.0 is not a dimension: write Choice(",
        ),
        ({"objective.temperature": Range(low=1, high=2)}, "(did you mean objective.tau?)"),
        ({"update.lr": Choice(values=(1e-3,))}, "(did you mean update.learning_rate?)"),
        ({PROMPTS: Choice(values=(5, 7)), WORKERS: Choice(values=(2, 3))}, "train.workers = 3: "),
        (
            {WORKERS: Choice(values=(1, 3))},
            "train.workers = 3: rollout.prompts_per_step 4 is not a",
        ),
        (
            {NAME: METHODS, TAU: Choice(values=(1.0,), when=When(path=NAME, values=("grpo",)))},
            "objective.tau: exists where objective.name is grpo, which has no such setting: write "
            "when=When(path='objective.name', values=('conspo',))",
        ),
        (
            {
                NAME: METHODS,
                "objective.clip_low": Choice(values=(0.1, 0.2)),
                TAU: Choice(values=(1.0,), when=When(path="objective.clip_low", values=(0.1,))),
            },
            "objective.tau: its conditions exclude each other",
        ),
        (
            {
                CHECKPOINTING: Choice(values=(True, False)),
                TAU: Choice(values=(1.0,), when=When(path=CHECKPOINTING, values=(1,))),
            },
            "objective.tau: exists where policy.gradient_checkpointing is [1], which it never is",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused_by_name(space, message):
    problems = refused(space)
    assert all(problem.startswith("space: ") for problem in problems)
    assert any(message in problem for problem in problems), problems


def test_values_that_are_each_valid_and_never_together_are_refused():
    space = {PROMPTS: Choice(values=(6, 9)), WORKERS: Choice(values=(4,))}
    base = with_overrides(QUICK, {PROMPTS: 12})
    problems = refused(space, base=base)
    assert any(
        "train.workers = 4: " in problem or "no combination" in problem for problem in problems
    )


@pytest.mark.parametrize("sampler", ["tpe", "qmc", "random"])
def test_points_that_are_rarely_valid_are_found(sampler):
    space = {
        PROMPTS: Range(low=100, high=400),
        WORKERS: Range(low=50, high=99),
        TAU: Range(low=0.1, high=1.0),
    }
    found = searched(study(space, sampler, trials=5))
    assert len(found) == 5
    assert all(params[PROMPTS] % params[WORKERS] == 0 for params in found)


def test_anchors_hold_plain_values_too():
    for params, message in (
        ({TAU: "1.0"}, "anchor 'a': objective.tau: '1.0' is text, and the setting holds a number"),
        ({TAU: object}, "anchor 'a': objective.tau: <class 'object'> is not a plain value"),
        ({CAP: None, TARGETS: ["q_proj"]}, ""),
    ):
        anchors = (Anchor(label="a", params=params),)
        if message:
            assert any(message in p for p in refused({TAU: [1.0, 2.0]}, anchors=anchors))
        else:
            assert searched(study({TAU: [1.0]}, anchors=anchors))[0] == params
