"""Folders that are not whole are refused by name, before anything of a model is loaded."""

import json
import os
import re

import pytest
from model_folders import edit_weights, save_model

from conspo_study.config.stages import PolicyConfig
from conspo_study.policy.errors import PolicyError
from conspo_study.policy.files import file_problems, weight_files
from conspo_study.policy.load import load_policy


@pytest.fixture
def folder(tmp_path):
    return save_model(tmp_path / "model")


def refused(folder, pattern):
    """The folder is refused in one line that matches, by the driver's check and by a worker."""
    (problem,) = file_problems(folder)
    assert re.search(pattern, problem) and "\n" not in problem and str(folder) in problem
    with pytest.raises(PolicyError, match=pattern):
        load_policy(PolicyConfig(model=str(folder)), folder)


def test_a_whole_folder_has_no_problems(folder):
    assert file_problems(folder) == []


def test_shards_are_read_by_their_index(tmp_path):
    folder = save_model(tmp_path, max_shard_size="20KB")
    files = weight_files(folder)
    assert len(files) > 2 and file_problems(folder) == []
    (folder / "model-extra.safetensors").write_bytes(b"of an earlier time")
    assert weight_files(folder) == files and file_problems(folder) == []
    files[1].unlink()
    refused(folder, rf"1 of {len(files)} weight files are missing \({files[1].name}\)")


def cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


def lengthen(path):
    path.write_bytes(path.read_bytes() + b"more")


def empty(path):
    path.write_bytes(b"")


def page(path):
    path.write_text("<!DOCTYPE html><title>Not found</title>")


def pointer(path):
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 445224\n")


def marked(path):
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))


def wide(path):
    path.write_text(path.read_text(), "utf-16")


def broken(path):
    path.write_text('{"a": ')


def a_list(path):
    path.write_text("[]")


def lost(path):
    path.unlink()
    path.symlink_to(path.parent / "gone")


def circle(path):
    path.unlink()
    path.symlink_to(path)


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("name", "damage", "pattern"),
    [
        ("model.safetensors", cut, r"truncated: [\d,]+ bytes of [\d,]+"),
        ("model.safetensors", lengthen, "damaged"),
        ("model.safetensors", empty, "is empty"),
        ("model.safetensors", page, "not a safetensors file"),
        ("model.safetensors", pointer, "Git LFS pointer.*git lfs pull"),
        ("model.safetensors", lost, "is a broken link"),
        ("model.safetensors", circle, "cannot be read"),
        ("model.safetensors", pipe, "it is a pipe"),
        ("model.safetensors", a_folder, "it is a folder"),
        ("config.json", pointer, "Git LFS pointer"),
        ("config.json", empty, "is empty"),
        ("config.json", marked, r"config.json begins with a byte order mark.*sed -i"),
        ("config.json", wide, "UTF-16"),
        ("config.json", broken, "is not JSON"),
        ("config.json", a_list, "is not a JSON object"),
        ("config.json", pipe, "it is a pipe"),
        ("generation_config.json", marked, "generation_config.json begins with a byte order mark"),
        ("generation_config.json", broken, "generation_config.json is not JSON"),
        ("tokenizer.json", marked, "tokenizer.json begins with a byte order mark"),
        ("tokenizer.json", pointer, "Git LFS pointer"),
        ("tokenizer.json", empty, "is empty"),
        ("tokenizer_config.json", broken, "tokenizer_config.json is not JSON"),
    ],
)
def test_a_damaged_file_is_named(folder, name, damage, pattern):
    damage(folder / name)
    refused(folder, pattern)


def test_a_byte_order_mark_goes_as_the_message_says(folder):
    marked(folder / "config.json")
    (problem,) = file_problems(folder)
    assert os.system(problem.partition("cannot read: ")[2]) == 0
    load_policy(PolicyConfig(), folder)


def test_windows_line_ends_are_read(folder):
    for path in folder.glob("*.json"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert file_problems(folder) == []
    load_policy(PolicyConfig(), folder)


def test_a_file_of_another_program_may_be_anything(folder):
    marked_state = folder / "trainer_state.json"
    marked_state.write_bytes(b"\xef\xbb\xbfnonsense")
    (folder / "optimizer.pt").write_bytes(b"")
    assert file_problems(folder) == []


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["pytorch_model.bin"], r"weights are pickles \(pytorch_model.bin\)"),
        (["consolidated.00.pth"], "weights are pickles"),
        (["weights.safetensors"], "weights.safetensors, which .* rename it to model.safetensors"),
        (["model-1.safetensors", "model-2.safetensors"], "index.json is missing"),
        (["model.gguf"], r"it has no weights.*model\.gguf"),
        ([], "it has no weights"),
    ],
)
def test_what_stands_in_place_of_weights_is_told(folder, names, pattern):
    (folder / "model.safetensors").unlink()
    for name in names:
        (folder / name).write_bytes(b"x")
    refused(folder, pattern)


def test_adapters_are_not_a_model(folder):
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    refused(folder, "adapter_config.json makes it adapters .*merge")
    (folder / "config.json").unlink()
    refused(folder, "has only adapters: merge")


def test_adapters_among_the_weights_are_to_be_merged(folder):
    name = "model.layers.0.self_attn.q_proj"
    edit_weights(
        folder,
        lambda w: {
            **{k.replace(f"{name}.w", f"{name}.base_layer.w"): v for k, v in w.items()},
            f"{name}.lora_A.default.weight": w["model.norm.weight"].clone(),
        },
    )
    refused(folder, "contains adapters.*lora_A.*merge")


@pytest.mark.parametrize("left", [(), ("tokenizer_config.json",)])
def test_a_folder_without_a_tokenizer_is_refused(folder, left):
    for path in folder.glob("*token*"):
        if path.name not in left:
            path.unlink()
    refused(folder, "has no tokenizer")


def test_half_of_a_tokenizer_is_refused(folder):
    (folder / "tokenizer.json").rename(folder / "vocab.json")
    refused(folder, "vocab.json without merges.txt")


def test_what_is_no_folder_is_told(tmp_path):
    (tmp_path / "file").touch()
    refused(tmp_path / "file", "it is a file")
    refused(tmp_path / "nowhere", "it does not exist")
    (tmp_path / "checkpoint-40").mkdir()
    refused(tmp_path, r"no config\.json; did you mean checkpoint-40 in it\?")


def test_an_index_without_weights_is_refused(tmp_path):
    folder = save_model(tmp_path, max_shard_size="20KB")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}}))
    refused(folder, "lists no weights")
