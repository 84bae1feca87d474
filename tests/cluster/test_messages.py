"""What Ray has to say goes to a file of the study, and never into what the study prints."""

import threading

from ray._private import worker

from conspo_study.cluster.messages import ray_messages_to

WARNING = "WARNING: 8 PYTHON worker processes have been started on node: abc.\nA second line."


class Subscriber:
    """Gives Ray's own listener one message, and then the end."""

    def __init__(self, stop):
        self.stop = stop

    def subscribe(self):
        pass

    def poll(self):
        self.stop.set()
        return None, {"job_id": None, "error_message": WARNING}


class Worker:
    class current_job_id:
        @staticmethod
        def binary():
            return b"1234"


def listen():
    """Run the function that Ray runs in a thread of the driver."""
    from ray._private.worker import listen_error_messages

    stop = threading.Event()
    Worker.gcs_error_subscriber = Subscriber(stop)
    listen_error_messages(Worker, stop)


def test_messages_are_appended_with_their_time_and_nothing_is_printed(tmp_path, capsys):
    path = tmp_path / "ray" / "messages.log"
    for _ in range(2):
        with ray_messages_to(path):
            listen()
    lines = path.read_text().splitlines()
    assert len(lines) == 4
    assert lines[0].endswith("Z (raylet) " + WARNING.splitlines()[0])
    assert lines[1].endswith("Z (raylet) A second line.")
    assert capsys.readouterr() == ("", "")


def test_a_file_that_cannot_be_written_costs_the_messages_alone(tmp_path, capsys):
    (tmp_path / "ray").touch()
    with ray_messages_to(tmp_path / "ray" / "messages.log"):
        listen()
    assert capsys.readouterr() == ("", "")


def test_outside_of_the_block_ray_prints_as_ever(tmp_path, capsys):
    with ray_messages_to(tmp_path / "messages.log"):
        pass
    listen()
    assert "8 PYTHON worker processes" in capsys.readouterr().out


def test_canary_ray_still_has_the_private_function_that_prints_messages():
    assert callable(worker.print_to_stdstream), "adapt conspo_study/cluster/messages.py"


def test_a_ray_without_it_goes_on_printing(monkeypatch, tmp_path):
    monkeypatch.delattr(worker, "print_to_stdstream")
    with ray_messages_to(tmp_path / "messages.log"):
        assert not hasattr(worker, "print_to_stdstream")
