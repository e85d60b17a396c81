"""Fixtures that several rooms need."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificate import make_certificate


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, both PEM."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Logging as it was, whatever the test configures."""
    for switch in ("_srcfile", "logThreads", "logProcesses", "logMultiprocessing"):
        monkeypatch.setattr(logging, switch, getattr(logging, switch))
    root, access = logging.getLogger(), logging.getLogger("tornado.access")
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], access.disabled = handlers, False
    root.setLevel(level)
    for name in ("watchfiles", "botocore", "asyncio"):
        logging.getLogger(name).setLevel(logging.NOTSET)
