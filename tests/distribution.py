"""How pytest-xdist spreads the tests: by file, the long ones first; `scripts/test` asks for it.

A file stays on one worker, because what its tests share is made once on each worker. Files of
which every test starts processes of its own are spread test by test.
"""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

#: Files whose tests share nothing.
INDEPENDENT = frozenset(
    f"tests/{name}.py"
    for name in (
        "acceptance/edge/test_long_bodies",
        "acceptance/test_bad_start",
        "acceptance/test_chaos",
        "acceptance/test_full_disks",
        "acceptance/test_processes",
        "docs/test_pages",
        "docs/test_samples",
        "fuzz/test_fuzz",
        "integration/test_lost_machine",
        "unit/http/test_connection",
        "unit/test_supervisor",
    )
)

#: What takes longest begins first, so that no worker is still at it when the others are done.
FIRST = (
    "tests/acceptance/test_chaos.py",
    "tests/docs/test_pages.py",
    "tests/acceptance/",
    "tests/docs/",
    "tests/fuzz/",
    "tests/integration/",
    "tests/unit/apigw/",
    "tests/unit/events/",
    "tests/unit/catalog/test_live.py",
    "tests/unit/http/",
    "tests/unit/test_supervisor.py",
)


class Distribution(LoadFileScheduling):  # type: ignore[misc]  # xdist ships no types
    """By file, but for those whose tests share nothing."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return nodeid if file in INDEPENDENT else file


def rank(item: pytest.Item) -> int:
    """Place of a test in the order of distribution; equal ones stay in their order."""
    return next((n for n, start in enumerate(FIRST) if item.nodeid.startswith(start)), len(FIRST))


def make_scheduler(config: pytest.Config, log: Producer) -> Distribution | None:
    """The scheduler of `--dist=loadfile`, None for any other way."""
    if config.option.dist != "loadfile":
        return None
    config.option.loadscopereorder = False
    return Distribution(config, log)


def encodable(value: object) -> object:
    """The same lists, tuples and dictionaries, with all text fit for UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {encodable(key): encodable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [encodable(item) for item in value]
    if isinstance(value, tuple):
        return tuple(encodable(item) for item in value)
    return value
