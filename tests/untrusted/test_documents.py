"""JSON, lines and code that would keep a reader busy."""

import io
import json
import threading
import time

import pytest

from conspo_study.untrusted import LONGEST_LINE, LineTooLong, all_lines, parse_json, within


def nested(depth, opening, closing):
    return (opening * depth + "1" + closing * depth).encode()


@pytest.mark.parametrize("form", [("[", "]"), ('{"a":', "}"), ('[{"b":', "}]")])
def test_values_are_read_to_a_depth_and_no_deeper(form):
    deepest = 32 if "b" in form[0] else 64
    assert parse_json(nested(deepest, *form)) is not None
    for depth in (deepest + 1, 1000, 1_000_000):
        with pytest.raises(ValueError, match="nested"):
            parse_json(nested(depth, *form))


def test_many_brackets_side_by_side_or_in_a_text_are_no_depth():
    flat = [{"a": [index]} for index in range(1000)]
    assert parse_json(json.dumps(flat).encode()) == flat
    assert parse_json(json.dumps("[{" * 1000).encode()) == "[{" * 1000


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"1" * 5000])
def test_what_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError):
        parse_json(text)


def test_lines_are_bounded_and_counted():
    long = b"a\nb\n" + b"x" * LONGEST_LINE
    assert all_lines(io.BytesIO(long), 1 << 40) == long
    with pytest.raises(LineTooLong, match="longer than") as raised:
        all_lines(io.BytesIO(long + b"x"), 1 << 40)
    assert raised.value.line == 3
    assert all_lines(io.BytesIO(b"12345"), 3) == b"123"


def test_a_deadline_ends_a_loop_and_is_gone_after_the_block():
    with pytest.raises(TimeoutError, match="more than 1 s"), within(1):
        while True:
            pass
    with within(0.05):
        pass
    time.sleep(0.1)


def test_in_another_thread_and_inside_another_deadline_there_is_none():
    ended = []

    def work():
        with within(0.01):
            time.sleep(0.1)
            ended.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    with pytest.raises(TimeoutError, match="more than 1 s"), within(1), within(0.01):
        while True:
            pass
    assert ended == [True]
