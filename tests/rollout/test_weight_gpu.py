"""The order in which engines on GPUs are spoken to; the transfers themselves need GPUs."""

from concurrent.futures import Future
from types import SimpleNamespace

import pytest
import torch

from conspo_study.rollout import weight_gpu
from conspo_study.rollout.engine import PolicyWeights

TENSORS = [(name, torch.full((4, 2), float(i))) for i, name in enumerate("abc")]
WEIGHTS = PolicyWeights("seed 0", lambda: 0, lambda: TENSORS)


class Engine:
    """Remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def call(self, method, *arguments):
        self.asked.append((method, *arguments))
        answer = Future()
        answer.set_result(None)
        return answer

    @property
    def methods(self):
        return [method for method, *_ in self.asked]


@pytest.fixture(autouse=True)
def gpu(monkeypatch):
    """Stands for a GPU: handles are the tensors themselves."""
    names = ("empty_cache", "ipc_collect", "set_device")
    for name in names:
        monkeypatch.setattr(torch.cuda, name, lambda *_: None)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="GPU-7")
    )
    monkeypatch.setattr(weight_gpu, "reduce_tensor", lambda tensor: (None, tensor))


def test_a_shared_gpu_gets_all_weights_in_chunks_between_start_and_finish(monkeypatch):
    monkeypatch.setattr(weight_gpu, "_CHUNK_BYTES", 2 * 4 * 2 * 2)
    channel, engine = weight_gpu.SharedGpuChannel(torch.bfloat16), Engine()
    for version in ("seed 0:0", "seed 0:1"):
        with channel.sending(WEIGHTS, version, {0: engine}) as calls:
            calls[0].result(10)
    update = ["start_weight_update", "update_weights", "update_weights", "finish_weight_update"]
    assert engine.methods == ["init_weight_transfer", *update, *update]
    sent = [info for method, *rest in engine.asked if method == "update_weights" for info in rest]
    assert [info["names"] for info in sent[:2]] == [["a", "b"], ["c"]]
    assert sent[0]["dtype_names"] == ["bfloat16"] * 2 and sent[0]["shapes"] == [[4, 2]] * 2
    handles = [one for info in sent[:2] for one in info["ipc_handles"]]
    assert [float(handle["GPU-7"][0, 0]) for handle in handles] == [0.0, 1.0, 2.0]
    assert engine.asked[-1] == ("finish_weight_update", "seed 0:1")


def test_a_new_process_on_a_shared_gpu_is_met_first():
    channel = weight_gpu.SharedGpuChannel(torch.float32)
    for engine in (Engine(), Engine()):
        with channel.sending(WEIGHTS, "seed 0:0", {0: engine}) as calls:
            calls[0].result(10)
        assert engine.methods[0] == "init_weight_transfer"


@pytest.mark.vllm
def test_each_engine_has_a_broadcast_of_its_own_and_a_new_process_a_new_one(monkeypatch):
    from vllm.distributed.weight_transfer.factory import WeightTransferTrainerFactory

    opened = []

    def trainer_init(info, *, client, source):
        opened.append((info.world_size, info.is_sender))

        class Sender:
            def send_weights(self):
                client.start_weight_update()
                names = [meta.name for meta in source.metadata()]
                client.update_weights({"names": names, "sent": dict(source)})
                client.finish_weight_update()

        return Sender()

    monkeypatch.setattr(WeightTransferTrainerFactory, "trainer_init", trainer_init)
    channel = weight_gpu.BroadcastChannel(torch.bfloat16, gpus=2)
    first, second, third = Engine(), Engine(), Engine()
    for engines in ({0: first, 1: second}, {0: first, 1: second}, {0: third, 1: second}):
        with channel.sending(WEIGHTS, "seed 0:4", engines) as calls:
            for call in calls.values():
                call.result(10)
    assert opened == [(3, True)] * 3
    assert first.methods == ["start_weight_update", "update_weights", "finish_weight_update"] * 2
    assert second.methods == first.methods[:3] * 3 and third.methods == first.methods[:3]
    (info,) = (rest[0] for method, *rest in third.asked if method == "update_weights")
    assert info["names"] == ["a", "b", "c"] == list(info["sent"])
    assert info["sent"]["c"].dtype == torch.bfloat16
    assert third.asked[-1] == ("finish_weight_update", "seed 0:4")
