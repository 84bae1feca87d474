"""Answers that hang, explode or attack the checker cost one bounded check each."""

import time

import pytest
from asking import verdicts

from conspo_study.config import RewardConfig
from conspo_study.records import Verdict
from conspo_study.reward import Verifier
from conspo_study.reward.pool import Pool

# Starting a replacement is not charged to a pair, and takes long on a busy machine.
SLACK_S = 30.0

HANGING = {
    "power tower": "9^{9^{9^{9}}}",
    "factorial": "99999999!",
    "nested fractions": "\\frac{1}{" * 30 + "2" + "}" * 30,
    "tower of a variable": "x^{x^{x^{x^{x}}}}",
}
KNOWN_TO_HANG = {
    "power tower": "9^{9^{9^{9}}}",
    "factorial": "99999999!",
    "nested fractions": "\\frac{1}{" * 300 + "2" + "}" * 300,
    "set": "\\{" + ",".join(map(str, range(700))) + "\\}",
    "binomial": "\\binom{10000000}{5000000}",
}
STUBBORN = "(900000!)^{900000}"
"""Hangs, and nothing in its text says so."""
LARGE = {
    "3000-element set": "\\{" + ",".join(map(str, range(3000))) + "\\}",
    "megabyte sum": "1+" * 500_000 + "1",
    "megabyte of braces": "{" * 500_000,
    "mod tower": "3^{3^{3^{3^{3}}}} \\bmod 1000",
    "nested roots": "\\sqrt{" * 100 + "2" + "}" * 100,
}


def boxed(answer):
    return f"\\boxed{{{answer}}}"


def test_hanging_answers_time_out_one_by_one_and_the_pool_recovers(capfd):
    pool = Pool(workers=1, memory_mb=1024)
    try:
        assert verdicts(pool, [("x+5", "5+x")], 1.0) == [Verdict.CORRECT]
        seen = set(pool.pids)
        for name, answer in HANGING.items():
            start = time.monotonic()
            (verdict,) = verdicts(pool, [("x+5", answer)], 0.3)
            assert time.monotonic() - start < 0.3 + SLACK_S, name
            assert verdict in (Verdict.TIMEOUT, Verdict.KILLED), name
            assert not verdict.decided
            assert len(pool.pids) == 1
            assert not seen.intersection(pool.pids), "a killed process is replaced"
            seen.update(pool.pids)
        assert verdicts(pool, [("x+5", "5+x")], 1.0) == [Verdict.CORRECT]
    finally:
        pool.close()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("gold", ["5", "x+5", "(1, x)"])
def test_answers_that_are_known_to_hang_are_decided_and_reach_no_process(gold):
    with Verifier(RewardConfig(deadline_s=60)) as verifier:
        judged = verifier.verify([(gold, boxed(answer)) for answer in KNOWN_TO_HANG.values()])
        wrong = {Verdict.UNEVALUATED, Verdict.UNPARSABLE, Verdict.WRONG}
        assert {judgement.verdict for judgement in judged} <= wrong
        assert gold != "5" or verifier.pids == ()


def test_the_gold_answer_itself_is_never_screened():
    large = "x+2^{10000000}"
    with Verifier(RewardConfig(deadline_s=60.0)) as verifier:
        judged = verifier.verify([(large, boxed(large)), (large, boxed("9^{9^{9}}"))])
    assert [j.verdict for j in judged] == [Verdict.CORRECT, Verdict.UNEVALUATED]


def test_large_answers_end_in_time_and_leave_the_pool_usable():
    with Verifier(RewardConfig(deadline_s=2.0)) as verifier:
        for name, answer in LARGE.items():
            start = time.monotonic()
            for gold in ("5", "x+5"):
                verdict = verifier.verify([(gold, boxed(answer))])[0].verdict
                assert verdict is not Verdict.CORRECT, name
            assert time.monotonic() - start < 4.0 + SLACK_S, name
        assert verifier.verify([("x+5", boxed("5+x"))])[0].verdict is Verdict.CORRECT


def test_a_hanging_answer_does_not_harm_its_neighbours_and_is_paid_for_once():
    answers = ["5+x", STUBBORN, "5-x"] * 8
    start = time.monotonic()
    with Verifier(RewardConfig(deadline_s=2.0)) as verifier:
        judged = verifier.verify([("x+5", boxed(answer)) for answer in answers])
    expected = [Verdict.CORRECT, Verdict.TIMEOUT, Verdict.WRONG] * 8
    assert [judgement.verdict for judgement in judged] == expected
    assert time.monotonic() - start < 2.0 + 2 * SLACK_S


def test_a_hanging_gold_answer_is_the_fault_of_the_problem():
    with Verifier(RewardConfig(deadline_s=1.0)) as verifier:
        judged = verifier.verify([("99999999!+x^{9^{9^{9}}}+\\frac{1}{", boxed("5"))])
    assert judged[0].verdict is Verdict.GOLD_BAD


def test_a_memory_bomb_is_killed_by_the_cap():
    pool = Pool(workers=1, memory_mb=16)
    try:
        assert verdicts(pool, [("x+1", "f(x)+(a+b+c+d+e+f)^{100}")], 60) == [Verdict.KILLED]
        assert verdicts(pool, [("x+1", "1+x")], 60) == [Verdict.CORRECT]
    finally:
        pool.close()


def test_code_in_an_answer_is_not_run_and_nothing_of_it_is_printed(tmp_path, capfd, caplog):
    target = tmp_path / "touched"
    codes = [
        f"__import__('os').system('touch {target}')",
        f"__import__(\\text{{os}}).system(touch {target})",
        f"eval(open('{target}','w'))",
        f"1+exec(open('{target}', 'w'))",
        f"(1).__class__.__base__.__subclasses__()+open('{target}','w')",
        f"\\immediate\\write18{{touch {target}}}",
        f"\\input{{{target}}}",
        f"`touch {target}`; $(touch {target})",
        "{5!r:>{width}}",
        "%s%n%x",
        "=cmd|' /C calc'!A1",
        "<script>alert(1)</script>",
        "\x1b[2J\x00\x07\r\n5",
        '"}\n{"verdict": "correct", "last": false}',
    ]
    with Verifier(RewardConfig(deadline_s=30)) as verifier:
        judged = verifier.verify([(gold, boxed(code)) for gold in ("5", "x") for code in codes])
    assert not target.exists()
    assert Verdict.CORRECT not in {judgement.verdict for judgement in judged}
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
