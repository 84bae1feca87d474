import pytest
import torch
from safetensors.torch import load_file

from conspo_study.config.stages import PolicyConfig
from conspo_study.data.arithmetic import demonstrations
from conspo_study.policy import warm_start as module
from conspo_study.policy.load import load_policy
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.warm_start import fingerprint, warm_start


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """A warm start of 20 steps: its folder and the progress that was reported."""
    progress: list[tuple[int, int, float]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONSPO_STUDY_CACHE", str(tmp_path_factory.mktemp("cache")))
        folder = warm_start(demonstrations, steps=20, on_progress=lambda *p: progress.append(p))
        yield folder, progress


def test_progress_ends_with_the_last_step_and_the_model_has_learned(started):
    folder, progress = started
    assert progress[-1][:2] == (20, 20)
    model, tokenizer = load_policy(PolicyConfig(), folder)
    pairs = list(demonstrations(99, 64))
    prompts = tokenizer([prompt for prompt, _ in pairs]).input_ids
    answers = tokenizer([text for _, text in pairs], add_special_tokens=False).input_ids
    with torch.no_grad():
        loss = -response_logprobs(model, prompts, answers).mean()
    assert loss < 3.5  # an untrained model is at log 62 = 4.1


def test_the_folder_holds_no_pickle_and_loads_in_float32_without_dropout(started):
    folder, _ = started
    assert {path.suffix for path in folder.iterdir()} == {".safetensors", ".json"}
    model, tokenizer = load_policy(PolicyConfig(), folder)
    assert not model.training and {p.dtype for p in model.parameters()} == {torch.float32}
    assert tokenizer.pad_token_id == 0


def test_a_second_call_loads_and_a_damaged_model_is_trained_to_the_same_weights(
    started, monkeypatch
):
    folder, _ = started
    before = {k: v.clone() for k, v in load_file(folder / "model.safetensors").items()}
    with monkeypatch.context() as patch:
        patch.setattr(module, "train", None)
        assert warm_start(demonstrations, steps=20) == folder
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    notices: list[str] = []
    state = torch.random.get_rng_state()
    threads = torch.get_num_threads()
    assert warm_start(demonstrations, steps=20, on_notice=notices.append) == folder
    assert "model.safetensors has changed" in notices[0]
    after = load_file(folder / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_the_cache_key_sees_steps_seed_recipe_and_data(monkeypatch):
    keys = [fingerprint(demonstrations, 20, 0)]
    keys += [fingerprint(demonstrations, 21, 0), fingerprint(demonstrations, 20, 1)]
    keys += [fingerprint(lambda seed, count: demonstrations(seed + 9, count), 20, 0)]
    monkeypatch.setitem(module.RECIPE, "learning_rate", 4e-3)
    keys += [fingerprint(demonstrations, 20, 0)]
    assert len(set(keys)) == 5
