"""Installations for the acceptance tests, and the founding page; each is seen to its end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import SEED, Installation
from tests.acceptance.servers import Rclone, serve_webdav


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """An installation for one test."""
    installation = Installation(tmp_path / "installation")
    yield installation
    installation.end()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation for all tests of a module."""
    installation = Installation(tmp_path_factory.mktemp("shared") / "installation")
    yield installation
    installation.end()


@pytest.fixture
def webdav(tmp_path: Path) -> Iterator[Rclone]:
    """A plain HTTP server of another make."""
    server = serve_webdav(tmp_path / "webdav")
    yield server
    server.end()


@pytest.fixture(scope="session")
def seed() -> Path:
    """The plugins of the founding page."""
    if not SEED.is_dir():
        pytest.skip(f"the founding page is not beside this checkout: {SEED}")
    return SEED / "plugins"
