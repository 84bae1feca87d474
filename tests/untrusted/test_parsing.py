"""The quick parser gives what Python's own gives, value by value, and refuses what that refuses."""

import json
import random
import struct

import pytest

from conspo_study.untrusted import TooDeep, parse_json, parse_strict

TEXTS = [
    *(b"1e999", b"-1e999", b"-0", b"-0.0", b"01", b"1.", b".5", b"1E2", b"+1", b"1e", b"-", b"1_0"),
    *(b"5e-324", b"2.2250738585072014e-308", b"1.7976931348623159e308", b"1e-400"),
    *(b"9" * 30, b"9" * 4000, b"9" * 4301, b"-" + b"9" * 4299, b"1" * 400 + b".5"),
    *(b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\\udc00\\ud800"', b'"\\u12"', b'"\\x"', b'"\\/"'),
    *(b'"\x01"', b'"\x7f"', b'"\t"', b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\x80"', b'"\\u0000"'),
    *(b"NaN", b"Infinity", b"-Infinity", b"nan", b"true", b"tru", b"null", b"", b" 1 ", b"\x0c1"),
    *(b"[1,]", b"[1}", b"[]x", b"{'a':1}", b'{"a":1,"a":2}', b'{"\\ud800":1}', b"\xef\xbb\xbf1"),
    "[1]".encode("utf-16"),
]


def read(parse, text):
    """What a parser makes of a text, to the bit."""
    try:
        return repr(parse(text))
    except ValueError:
        return "refused"


def strictly(text):
    def refuse(name):
        raise ValueError(name)

    return json.loads(text.decode(), parse_constant=refuse)


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:12]))
def test_odd_texts_are_read_as_by_python(text):
    for around in (text, b'{"a":' + text + b"}"):
        assert read(parse_json, around) == read(json.loads, around)
        assert read(parse_strict, around) == read(strictly, around)


def test_numbers_are_read_to_the_last_bit():
    rng = random.Random(0)
    for _ in range(20_000):
        value = struct.unpack("d", rng.randbytes(8))[0]
        digits = str(rng.getrandbits(200))
        point = rng.randrange(1, len(digits))
        longer = f"{digits[:point]}.{digits[point:]}e{rng.randrange(-330, 310)}"
        for text in (repr(value).encode(), longer.encode()):
            assert read(parse_json, text) == read(json.loads, text)


def test_damaged_texts_are_read_as_by_python():
    rng = random.Random(1)
    whole = b'{"a":{"0":{"m":0.235,"x":null,"y":[1,-2.5e-3,true,"a\\u00e9\\n\xc3\xa9"]}}}'
    for _ in range(20_000):
        text = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            place = rng.randrange(len(text))
            text[place : place + rng.randrange(2)] = rng.choice(
                b'{}[]",:09.eE+-\\uN \n\r\0\x7f\xff'
            ).to_bytes()
        assert read(parse_strict, bytes(text)) == read(strictly, bytes(text))


@pytest.mark.parametrize("depth", [65, 190, 300, 100_000])
def test_what_is_nested_too_deeply_is_refused(depth):
    for parse in (parse_json, parse_strict):
        with pytest.raises(TooDeep):
            parse(b"[" * depth + b"]" * depth)
    assert read(parse_json, b"[" * 64 + b"]" * 64) == "[" * 64 + "]" * 64
