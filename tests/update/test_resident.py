"""A process is told its own peak."""

import subprocess
import sys

from conspo_study.update.resident import peak_resident_bytes

MIB = 2**20
CODE = "from conspo_study.update.resident import peak_resident_bytes; print(peak_resident_bytes())"


def test_memory_of_the_process_that_started_this_one_does_not_count():
    held = bytearray(b"1" * (256 * MIB))
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert MIB < int(found.stdout) < len(held) / 2


def test_memory_that_was_given_back_counts():
    code = f"held = bytearray(b'1' * {256 * MIB}); del held; {CODE}"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(found.stdout) > 256 * MIB


def test_the_unit_is_bytes():
    assert 10 * MIB < peak_resident_bytes() < 2**40
