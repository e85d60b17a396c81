"""How the tests are spread over processes: what is listed exists, and every report can be sent."""

import re
from pathlib import Path

import pytest

from tests import distribution
from tests.acceptance.process import free_port

TOP = Path(__file__).parents[2]


def test_every_file_and_folder_that_is_listed_exists() -> None:
    listed = [*distribution.INDEPENDENT, *distribution.FIRST]

    assert [name for name in listed if not (TOP / name).exists()] == []


@pytest.mark.parametrize("file", sorted(distribution.INDEPENDENT))
def test_tests_that_are_spread_singly_share_nothing(file: str) -> None:
    text = (TOP / file).read_text(encoding="utf-8")

    assert re.search(r"scope=|\bshared: Installation\b", text) is None


def test_a_report_with_half_a_surrogate_pair_can_be_sent() -> None:
    report = {
        "sections": [("log", "a \udcff")],
        "when": "call",
        "duration": 0.5,
        "nodes": ("\ud83d",),
    }

    sent = distribution.encodable(report)

    assert repr(sent).encode() and sent == {
        "sections": [("log", "a \\udcff")],
        "when": "call",
        "duration": 0.5,
        "nodes": ("\\ud83d",),
    }


def test_no_port_is_given_away_twice() -> None:
    ports = [free_port() for _ in range(50)]

    assert len(set(ports)) == 50
