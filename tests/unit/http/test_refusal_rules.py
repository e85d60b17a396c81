"""The rules that heads have to pass, each with a head that it refuses by each of its problems."""

import pytest

from qmonus_lite import errors
from qmonus_lite.errors import Problem, Rule
from qmonus_lite.http.framing import RULES, RequestHead, check_framing

#: The changes of a sound head that a rule refuses: what is given instead, and the problem.
REFUSED: dict[str, list[tuple[dict[str, str], list[tuple[str, str]], type[Problem]]]] = {
    "version": [({"version": "HTTP/0.9"}, [], errors.VersionUnknown)],
    "request-line": [({"target": "/" + "a" * 8192}, [], errors.TargetTooLong)],
    "header-block": [({}, [("X", "x")] * 101, errors.HeadTooLarge)],
    "target": [({"target": "a"}, [], errors.InvalidTarget)],
    "host": [({}, [("Host", "")], errors.InvalidTarget)],
    "transfer-encoding": [
        ({}, [("Transfer-Encoding", "chunked, chunked")], errors.InvalidFraming),
        ({}, [("Transfer-Encoding", "gzip")], errors.NotImplementedHere),
    ],
    "content-length": [
        ({}, [("Content-Length", "+1")], errors.InvalidFraming),
        ({}, [("Content-Length", "9" * 20)], errors.TooLarge),
    ],
    "expect": [({}, [("Expect", "200-ok")], errors.ExpectationFailed)],
}


def head(line: dict[str, str], fields: list[tuple[str, str]]) -> RequestHead:
    given = {"method": "PUT", "target": "/upload/a", "version": "HTTP/1.1", **line}
    return RequestHead(**given, fields=tuple(fields))


def test_no_two_rules_have_one_name() -> None:
    names = [rule.name for rule in RULES]

    assert len(names) == len(set(names))
    assert set(names) == set(REFUSED)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_refuses_by_the_problems_that_it_lists(rule: Rule[RequestHead]) -> None:
    assert [problem for *_, problem in REFUSED[rule.name]] == list(rule.problems)
    for line, fields, problem in REFUSED[rule.name]:
        for check in (rule.check, check_framing):
            with pytest.raises(problem) as refused:
                check(head(line, fields))
            assert type(refused.value) is problem


def test_a_sound_head_passes_every_rule() -> None:
    check_framing(head({}, [("Host", "a"), ("Content-Length", "1"), ("Expect", "100-continue")]))
