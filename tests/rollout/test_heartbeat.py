"""A sign of life, and what counts as one while nothing else is heard."""

import os
import time

from conspo_study.rollout.heartbeat import Heartbeat


def test_a_log_that_grows_is_a_sign_of_life_and_one_that_does_not_is_none(tmp_path):
    log, counter = tmp_path / "log", tmp_path / "counter"
    log.write_text("began\n")
    counter.write_bytes(bytes(8))
    heart = Heartbeat(str(counter))

    def count():
        return int.from_bytes(counter.read_bytes(), "little")

    with heart.while_growing(log, every_s=0.01):
        time.sleep(0.2)
        assert count() == 0
        with log.open("a") as file:
            for _ in range(3):
                before = count()
                print("compiling", file=file, flush=True)
                deadline = time.monotonic() + 10
                while count() == before and time.monotonic() < deadline:
                    time.sleep(0.01)
                assert count() == before + 1
    ended = count()
    with log.open("a") as file:
        print("running", file=file)
    time.sleep(0.1)
    assert count() == ended
    heart.beat()
    assert count() == ended + 1
    os.close(heart._file)
