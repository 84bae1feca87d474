"""The header of a safetensors file is read without its tensors, or refused."""

import io

import pytest
import torch
from safetensors.torch import save

from conspo_study.policy.safetensors_header import read_header


def test_names_shapes_and_positions_are_those_of_the_file():
    tensors = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(4, dtype=torch.int64)}
    content = save(tensors, metadata={"format": "pt"})
    header = read_header(io.BytesIO(content))
    assert {name: entry["shape"] for name, entry in header.tensors.items()} == {
        "a": [2, 3],
        "b": [4],
    }
    start, end = header.tensors["a"]["data_offsets"]
    data = content[header.data_start + start : header.data_start + end]
    assert torch.frombuffer(bytearray(data), dtype=torch.float32).tolist() == list(range(6))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 20,
        save({"a": torch.ones(3)})[:20],
        b"\x02" + bytes(7) + b"[]",
        b"\x1f" + bytes(7) + b'{"a": {"data_offsets": [4, 0]}}',
        (40 << 20).to_bytes(8, "little") + b"{" * 100,
        (500_000).to_bytes(8, "little") + b'{"a":' * 100_000,
        b"\x1e" + bytes(7) + b'{"a": {"data_offsets": "0:4"}}',
    ],
)
def test_other_content_is_refused(content):
    with pytest.raises(ValueError, match="header"):
        read_header(io.BytesIO(content))
