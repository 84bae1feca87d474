"""A policy has one name and one folder: from disk, from the hub's cache, or from the hub."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from tiny_models import random_model

from conspo_study.config import PolicyConfig
from conspo_study.policy.embedded import embedded_tokenizer
from conspo_study.policy.errors import PolicyError
from conspo_study.policy.identity import BLOCK, folder_hash
from conspo_study.policy.load import load_policy
from conspo_study.policy.sources import (
    folder_at_hand,
    model_folder,
    model_identity,
    refuse_unreachable,
    source_of,
)

OLD, NEW = "1" * 40, "2" * 40


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    random_model("Qwen2").save_pretrained(folder)
    embedded_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """An empty local cache of the hub."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def cache_model(hub_cache, saved, commit=OLD, ref="main", leave_out=()):
    """The files that a download of `org/tiny` leaves behind."""
    repository = hub_cache / "models--org--tiny"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for path in saved.iterdir():
        if path.name not in leave_out:
            (snapshot / path.name).symlink_to(path)
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / ref).write_text(commit)
    return snapshot


def hub(**settings):
    return PolicyConfig(model="org/tiny", **settings)


def test_names_are_told_apart(tmp_path, saved, monkeypatch):
    assert source_of(str(saved)).folder == saved
    assert source_of("org/tiny").hub == ("org/tiny", None)
    assert source_of("org/tiny@v1.0/x").hub == ("org/tiny", "v1.0/x")
    (tmp_path / "m.gguf").touch()
    assert source_of(str(tmp_path / "m.gguf")).gguf == tmp_path / "m.gguf"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org").mkdir()
    (tmp_path / "org/tiny").symlink_to(saved)
    assert source_of("org/tiny").folder == Path("org/tiny"), "what is here is meant"


@pytest.mark.parametrize(
    "name", ["nowhere", "./org/tiny", "~/nowhere/x", "/nowhere", "a/b/c", "org/m.gguf", "", "../x"]
)
def test_a_name_that_is_nothing_is_one_line_that_lists_what_it_may_be(name):
    with pytest.raises(FileNotFoundError, match=r"org/name.*smollm2 or embedded") as error:
        source_of(name)
    assert "\n" not in str(error.value)


def test_an_existing_folder_without_a_model_is_not_looked_for_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org/tiny").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"no config\.json"):
        source_of("org/tiny")


def test_a_path_that_does_not_exist_is_told_with_names_like_it(tmp_path, monkeypatch, hub_cache):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m/embed").mkdir(parents=True)
    with pytest.raises(PolicyError, match=rf"does not exist in {tmp_path}.* did you mean m/embed"):
        source_of("./m/emb")
    with pytest.raises(PolicyError, match=r"it does not exist\); did you mean .*/m/embed"):
        source_of(f"{tmp_path}/m/emb")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for asked in (model_folder, refuse_unreachable):
        with pytest.raises(OSError, match=r"m/emb is neither a local folder.*did you mean m/embed"):
            asked(PolicyConfig(model="m/emb"))


def test_the_home_folder_of_an_unknown_user_is_no_folder():
    with pytest.raises(PolicyError, match="it does not exist"):
        source_of("~nobody-here/model")


def test_a_cached_model_of_the_hub_loads_without_a_network(hub_cache, saved):
    snapshot = cache_model(hub_cache, saved)
    assert folder_at_hand(hub()) == model_folder(hub()) == snapshot
    assert model_identity(hub()) == f"commit {OLD}"
    model, _ = load_policy(hub(), model_folder(hub()))
    assert torch.equal(model.lm_head.weight, random_model("Qwen2").lm_head.weight)


def test_a_revision_is_a_branch_a_tag_or_a_commit(hub_cache, saved):
    cache_model(hub_cache, saved)
    tagged = cache_model(hub_cache, saved, NEW, ref="v2")
    for revision in ("v2", NEW):
        config = PolicyConfig(model=f"org/tiny@{revision}")
        assert model_folder(config) == tagged and model_identity(config) == f"commit {NEW}"


def test_what_is_not_cached_is_one_line_when_the_hub_is_switched_off(hub_cache):
    assert folder_at_hand(hub()) is None
    with pytest.raises(
        OSError, match=r"org/tiny is neither .*offline.*\(hf download org/tiny"
    ) as error:
        model_folder(hub())
    assert "\n" not in str(error.value)


@pytest.fixture
def online(monkeypatch, hub_cache, saved):
    """A hub that has `org/tiny`; returns the settings of the requests that reached it."""
    requests = []
    real = huggingface_hub.snapshot_download

    def download(name, *, local_files_only=False, **settings):
        if local_files_only:
            return real(name, local_files_only=True, **settings)
        requests.append((name, settings))
        repository = hub_cache / "models--org--tiny"
        if not (repository / "snapshots" / NEW).exists():
            cache_model(hub_cache, saved, NEW)
        return str(repository / "snapshots" / NEW)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return requests


def test_a_download_happens_once_and_fetches_no_format_that_can_carry_code(online):
    first = model_folder(hub())
    assert model_folder(hub()) == first and model_identity(hub()) == f"commit {NEW}"
    ((name, settings),) = online
    assert name == "org/tiny" and settings["revision"] is None
    chosen = huggingface_hub.utils.filter_repo_objects(
        [
            *("model-00001-of-2.safetensors", "config.json", "merges.txt", "tokenizer.model"),
            *("chat_template.jinja", "pytorch_model.bin", "modeling.py", "model.pt", "x.pkl"),
            *("onnx/model.safetensors", "consolidated.safetensors", "weights.gguf"),
        ],
        allow_patterns=settings["allow_patterns"],
        ignore_patterns=settings["ignore_patterns"],
    )
    assert sorted(chosen) == sorted(
        [
            *("model-00001-of-2.safetensors", "config.json", "merges.txt", "tokenizer.model"),
            "chat_template.jinja",
        ]
    )


def test_code_is_fetched_only_when_it_is_trusted(online):
    model_folder(hub(trust_remote_code=True))
    assert "*.py" in online[0][1]["allow_patterns"]


def test_a_snapshot_that_lacks_weights_is_fetched_again(online, hub_cache, saved):
    cache_model(hub_cache, saved, leave_out=["model.safetensors"])
    assert folder_at_hand(hub()) is None
    assert model_folder(hub()).name == NEW and len(online) == 1


def test_a_snapshot_that_lacks_a_shard_is_not_whole(hub_cache, saved, tmp_path):
    sharded = tmp_path / "sharded"
    random_model("Llama").save_pretrained(sharded, max_shard_size="20KB")
    shards = sorted(path.name for path in sharded.glob("*.safetensors"))
    assert len(shards) > 1
    cache_model(hub_cache, sharded, leave_out=shards[1:2])
    assert folder_at_hand(hub()) is None
    cache_model(hub_cache, sharded, NEW)
    assert folder_at_hand(hub()).name == NEW


def test_a_model_with_pickled_weights_only_is_refused_by_name(monkeypatch, hub_cache, saved):
    empty = hub_cache / "empty"
    empty.mkdir(parents=True)
    (empty / "config.json").write_text("{}")

    def download(name, *, local_files_only=False, **_):
        if local_files_only:
            raise LocalEntryNotFoundError("no")
        return str(empty)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(OSError, match=r"has no model\.safetensors: only models with weights"):
        model_folder(hub())


CALLER = """
import sys
from conspo_study.config import PolicyConfig
from conspo_study.policy.sources import model_folder
try:
    print(model_folder(PolicyConfig(model="org/tiny")))
except OSError as error:
    print("error:", error)
"""


@pytest.mark.parametrize("cached", [True, False])
def test_with_the_network_gone_cached_models_work_and_others_fail_at_once(tmp_path, saved, cached):
    if cached:
        cache_model(tmp_path, saved)
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        environment = {
            **os.environ,
            **{"HF_HUB_OFFLINE": "0", "HF_HUB_CACHE": str(tmp_path), "HF_ENDPOINT": nobody},
        }
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", CALLER],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
            check=True,
        )
    (line,) = done.stdout.splitlines()
    if cached:
        assert line.endswith(OLD)
    else:
        assert line.startswith("error: policy.model: org/tiny is neither") and "efused" in line
    assert time.monotonic() - started < 30, "no retries"


def test_every_change_of_a_model_changes_its_identity(tmp_path, saved):
    big = random_model("Llama", hidden_size=256, intermediate_size=1024)
    folder = tmp_path / "model"
    big.save_pretrained(folder)
    embedded_tokenizer().save_pretrained(folder)
    config = PolicyConfig(model=str(folder))
    seen = {model_identity(config)}
    (folder / "README.md").write_text("Nothing of the model.")
    assert model_identity(config) in seen
    matrix = big.model.layers[1].mlp.down_proj.weight
    assert matrix.numel() * 4 > 3 * BLOCK, "too large to be read as a whole"
    for change in (matrix, big.model.norm.weight, big.model.layers[0].input_layernorm.weight):
        with torch.no_grad():
            change.mul_(1.001)
        big.save_pretrained(folder)
        assert folder_hash(folder) not in seen
        seen.add(folder_hash(folder))
    for name in ("tokenizer.json", "config.json"):
        settings = json.loads((folder / name).read_text()) | {"remark": "changed"}
        (folder / name).write_text(json.dumps(settings))
        assert model_identity(config) not in seen
        seen.add(model_identity(config))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        (2).to_bytes(8, "little") + b"[]",
        (40).to_bytes(8, "little") + json.dumps({"a": {"data_offsets": [-9, 4]}}).encode(),
        (9).to_bytes(8, "little") + b'{"a": {}}',
    ],
)
def test_what_is_not_safetensors_has_no_identity(tmp_path, content):
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="not a safetensors file"):
        folder_hash(tmp_path)
