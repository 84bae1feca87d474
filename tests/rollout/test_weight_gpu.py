"""The order in which engines on GPUs are spoken to; the transfers themselves need GPUs."""

import sys
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event, Timer
from types import ModuleType, SimpleNamespace

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


class DyingEngine(Engine):
    """Dies while it receives its weights."""

    def call(self, method, *arguments):
        if method != "update_weights":
            return super().call(method, *arguments)
        self.asked.append((method, *arguments))
        answer = Future()
        Timer(0.05, lambda: answer.set_exception(ConnectionError("the engine died"))).start()
        return answer


@pytest.fixture(autouse=True)
def waited(monkeypatch):
    """Stands for a GPU: handles are the tensors themselves. How often its stream was waited for."""
    waited = []
    stream = SimpleNamespace(synchronize=lambda: waited.append("stream"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)
    names = ("empty_cache", "ipc_collect", "set_device")
    for name in names:
        monkeypatch.setattr(torch.cuda, name, lambda *_: None)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="GPU-7")
    )
    monkeypatch.setattr(weight_gpu, "reduce_tensor", lambda tensor: (None, tensor))
    return waited


class Sender:
    """vLLM's sender: its broadcast ends when the engine has received it, or when it is aborted."""

    def __init__(self, client, source):
        self.client, self.source = client, source
        self.aborted = Event()

    def send_weights(self):
        self.client.start_weight_update()
        names = [meta.name for meta in self.source.metadata()]
        info = {"names": names, "sent": dict(self.source)}
        with ThreadPoolExecutor(1) as thread:
            answer = thread.submit(self.client.update_weights, info)
            received = Event()
            answer.add_done_callback(lambda done: done.exception() or received.set())
            for _ in range(1000):  # of a hundredth of a second: for ever
                if received.wait(0.01) or self.aborted.is_set():
                    break
            answer.result()
        self.client.finish_weight_update()

    def shutdown(self):
        self.aborted.set()


@pytest.fixture
def senders(monkeypatch):
    """The senders that vLLM, of which nothing else is here, has made so far."""
    made = []

    def trainer_init(info, client, source):
        made.append(Sender(client, source))
        return made[-1]

    package = "vllm.distributed.weight_transfer"
    contents = {
        "factory": {"WeightTransferTrainerFactory": SimpleNamespace(trainer_init=trainer_init)},
        "nccl_engine": {"NCCLTrainerInitInfo": SimpleNamespace},
        "base": {
            "WeightSource": object,
            "ParamMeta": lambda name, dtype, shape: SimpleNamespace(name=name),
        },
    }
    for name in ("vllm", "vllm.distributed", package):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    for name, content in contents.items():
        module = ModuleType(f"{package}.{name}")
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return made


@pytest.mark.parametrize("kind", ["shared", "broadcast"])
def test_nothing_is_read_before_the_step_that_wrote_it_is_done(kind, waited, senders):
    """The sending thread and vLLM use streams that do not wait for the trainer's."""
    states = []

    def tensors():
        states.append(list(waited))
        return TENSORS

    channel = weight_gpu.SharedGpuChannel(torch.float32)
    if kind == "broadcast":
        channel = weight_gpu.BroadcastChannel(torch.float32, gpus=1)
    engine = Engine()
    for update in (1, 2):
        weights = PolicyWeights("seed 0", lambda: 0, tensors)
        states.clear()
        with channel.sending(weights, f"seed 0:{update}", {0: engine}) as calls:
            calls[0].result(10)
        assert states and all(state == ["stream"] * update for state in states)


def test_an_engine_that_dies_while_it_receives_ends_its_broadcast_and_no_other(senders):
    channel = weight_gpu.BroadcastChannel(torch.float32, gpus=1)
    dying, other, replacement = DyingEngine(), Engine(), Engine()
    with channel.sending(WEIGHTS, "seed 0:0", {0: dying, 1: other}) as calls:
        with pytest.raises(ConnectionError, match="the engine died"):
            calls[0].result(10)
        calls[1].result(10)
    assert [sender.aborted.is_set() for sender in senders] == [True, False]
    with channel.sending(WEIGHTS, "seed 0:0", {0: replacement}) as calls:
        calls[0].result(10)
    assert len(senders) == 3 and not senders[2].aborted.is_set()
    assert replacement.methods == other.methods


def test_a_policy_s_names_and_shapes_are_learned_once(senders):
    """To learn them from a policy with adapters, all of them have to be merged."""
    read = []

    def tensors():
        read.append(1)
        return TENSORS

    channel, engine = weight_gpu.BroadcastChannel(torch.float32, gpus=1), Engine()
    for policy in ("seed 0", "seed 1", "seed 0", "seed 1"):
        weights = PolicyWeights(policy, lambda: 0, tensors)
        with channel.sending(weights, f"{policy}:0", {0: engine}) as calls:
            calls[0].result(10)
    assert len(read) == 4 + 2
    sent = [rest[0]["sent"] for method, *rest in engine.asked if method == "update_weights"]
    assert all(list(info) == ["a", "b", "c"] for info in sent)


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
            def shutdown(self):
                pass

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
