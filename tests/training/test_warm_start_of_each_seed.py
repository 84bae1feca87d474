"""Seeds that begin with a warm start of their own."""

import json

import pytest
import torch
from study_fixtures import definition
from training_runs import CONFIG, run

from conspo_study.cluster.outlet import RayOutlet
from conspo_study.cluster.trial_spec import TrialSpec
from conspo_study.config import ConfigError, PolicyConfig, config_hash, with_overrides
from conspo_study.definition import Confirmation
from conspo_study.definition.presets import EMBEDDED, QUICK
from conspo_study.forecast.costs import study_seconds, warm_start_seconds
from conspo_study.forecast.plan import make_plan
from conspo_study.policy import warm_start
from conspo_study.policy.embedded import untrained_model
from conspo_study.policy.load import load_policy
from conspo_study.training.prepare import prepare_policies, prepare_policy

OWN = {"policy.warm_start_seed": "seed"}


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The seeds of the warm starts that were trained, in place of training any."""
    seeds = []

    def train(tokenizer, demonstrations, steps, seed, on_progress=None):
        seeds.append(seed)
        return untrained_model(seed)

    monkeypatch.setenv("CONSPO_STUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(warm_start, "train", train)
    return seeds


def weights(folder):
    model, _ = load_policy(PolicyConfig(), folder)
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_every_seed_has_its_own_and_it_is_made_once(made):
    policy = PolicyConfig(warm_start_seed="seed")
    folders = prepare_policies(policy, (0, 3, 1000))
    assert made == [3, 1000]  # that of seed 0 comes with the package
    assert torch.equal(
        weights(folders[3]), weights(prepare_policy(PolicyConfig(warm_start_seed=3)))
    )
    assert torch.equal(weights(folders[0]), weights(prepare_policy(PolicyConfig())))
    assert len(set(folders.values())) == 3
    assert prepare_policies(policy, (1000, 0)) == {1000: folders[1000], 0: folders[0]}
    assert made == [3, 1000]


def test_a_shared_one_is_made_once(made):
    policy = PolicyConfig(warm_start_steps=7, warm_start_seed=5)
    folders = prepare_policies(policy, (0, 1, 2))
    assert made == [5]
    assert len(set(folders.values())) == 1
    with pytest.raises(ValueError, match="every seed has a warm start of its own"):
        prepare_policy(PolicyConfig(warm_start_seed="seed"))


def test_a_trial_trains_each_seed_from_its_own(made, tmp_path):
    lean = {"train.steps": 1, "evaluation.every": 1, "rollout.prompts_per_step": 2}
    config = with_overrides(CONFIG, OWN | lean)
    folders = prepare_policies(config.policy, (0, 3))
    both = run(tmp_path / "both", folders, config, seeds=(0, 3))
    for seed in (0, 3):
        alone = run(tmp_path / f"alone-{seed}", folders[seed], config, seeds=(seed,))
        own = [row for row in both.rows if row["seed"] == seed]
        for name in ("reward", "loss", "entropy"):
            assert [row.get(name) for row in own] == [row.get(name) for row in alone.rows]
        starts = [dict(found.reports)[0][seed] for found in (both, alone)]
        measured, expected = (
            {name: value for name, value in start.items() if not name.startswith("time/")}
            for start in starts
        )
        assert measured == expected


def test_evaluations_of_untrained_policies_are_shared_with_no_other_kind_of_start(tmp_path):
    def outlet(settings):
        config = with_overrides(QUICK, settings)
        spec = TrialSpec("s", "t0", {}, (0, 1), "m", "max", {}, str(tmp_path))
        return RayOutlet(spec, config)

    own, shared = outlet(OWN), outlet({})
    again = outlet(OWN | {"objective.tau": 3.0})
    folders = [one._untrained_folder(seed) for one in (own, shared) for seed in (0, 1)]
    assert len(set(folders)) == 4
    assert again._untrained_folder(1) == own._untrained_folder(1)


def test_hashes_and_refusals():
    assert config_hash(QUICK) == "fae348e58f48"
    own = with_overrides(QUICK, OWN)
    assert config_hash(own) != config_hash(QUICK)
    assert type(own).model_validate(json.loads(own.model_dump_json())) == own
    assert own.policy.at_seed(4) == with_overrides(QUICK, {"policy.warm_start_seed": 4}).policy
    with pytest.raises(ConfigError, match="smollm2 has no warm start"):
        with_overrides(QUICK, OWN | {"policy.model": "smollm2"})
    with pytest.raises(ConfigError, match=r"policy\.warm_start_seed"):
        with_overrides(QUICK, {"policy.warm_start_seed": "each"})
    with pytest.raises(ConfigError, match=r"policy\.warm_start_seed"):
        with_overrides(QUICK, {"policy.warm_start_seed": -1})


def test_seeds_of_warm_starts_are_not_negative():
    base = with_overrides(QUICK, OWN)
    with pytest.raises(ValueError, match="must be 0 or more: change seed -5"):
        definition(base=base, seeds=(0, -5))
    with pytest.raises(ValueError, match="change seed -1"):
        definition(base=base, confirm=Confirmation(seeds=(-1,)))
    definition(seeds=(0, -5))


def test_the_plan_counts_the_warm_starts_of_all_seeds():
    changes = {"metric": "eval/chain/hard/avg@8", "confirm": Confirmation(seeds=(7, 8, 9))}
    shared = definition(base=EMBEDDED, **changes)
    own = definition(base=with_overrides(EMBEDDED, OWN), **changes)
    assert warm_start_seconds(shared) == 0
    assert warm_start_seconds(own) == pytest.approx(4 * 60)  # seeds 1, 7, 8 and 9
    assert study_seconds(own, 2) == pytest.approx(study_seconds(shared, 2) + 240)
    said = "every seed begins with a warm start of its own, made on one core before the trials"
    assert [note.startswith(said) for note in make_plan(own, 2, 0).notes].count(True) == 1
    assert not any(note.startswith(said) for note in make_plan(shared, 2, 0).notes)
