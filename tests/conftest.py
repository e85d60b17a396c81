"""Fixtures for all tests, and how they are spread over processes and report their figures."""

import gc
import logging
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer

from tests import distribution
from tests.certificate import make_certificate

# What is imported for tests stays, so that a collection of garbage need not look at it.
gc.disable()

# Several processes of tests share the processors: an example may take long without being at fault.
settings.register_profile(
    "shared processors", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shared processors")
# `scripts/test --fast` runs a quarter of the examples.
settings.register_profile("fast", settings.get_profile("shared processors"), max_examples=25)

#: Name of the property under which a test reports a line of figures.
_FIGURES = "figures"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run trials that have one in a long form")


@pytest.fixture(scope="session")
def long_form(pytestconfig: pytest.Config) -> bool:
    """Whether trials run for as long as before a release, instead of for seconds."""
    return bool(pytestconfig.getoption("long"))


@pytest.fixture(scope="session", autouse=True)
def no_metrics_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Free the shared memory of the installations of this session."""
    yield
    own = tmp_path_factory.getbasetemp()
    for link in Path("/dev/shm").glob(f"qmonus-lite-{os.geteuid()}-*/data_dir"):
        if own in link.readlink().parents:
            shutil.rmtree(link.parent, ignore_errors=True)


def pytest_xdist_make_scheduler(
    config: pytest.Config, log: Producer
) -> distribution.Distribution | None:
    return distribution.make_scheduler(config, log)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=distribution.rank)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, object, object]:
    """Escape what xdist cannot send, such as half of a surrogate pair in a captured log."""
    return distribution.encodable((yield))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests reported by `report_figures`, in this process or in one of xdist's."""
    reports = (
        report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)
    )
    lines = [
        value for report in reports for name, value in report.user_properties if name == _FIGURES
    ]
    if lines:
        terminalreporter.section("figures")
    for line in lines:
        terminalreporter.write_line(str(line))


@pytest.fixture
def report_figures(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Takes a line that is printed at the end of the run, whether or not the test passes."""
    return lambda line: record_property(_FIGURES, line)


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, both PEM."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def restored() -> Iterator[None]:
    """Logging as it was, whatever the test configures."""
    root, access = logging.getLogger(), logging.getLogger("tornado.access")
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], access.disabled = handlers, False
    root.setLevel(level)
    for name in ("watchfiles", "botocore", "asyncio"):
        logging.getLogger(name).setLevel(logging.NOTSET)
