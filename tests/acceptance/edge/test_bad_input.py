"""The whole table of bad inputs over raw sockets, against real processes."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.edge import table
from tests.acceptance.edge.raw import Exchange, exchange, put
from tests.acceptance.edge.table import Row, Table
from tests.acceptance.harness import UPLOADED, UPLOADING, Installation
from tests.acceptance.process import until

#: Seconds that a body may be silent here.
STALL = 1.5


class Edge:
    """An installation that writes down every event, and what each row may leave in it."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self._goods = 0
        for event in (UPLOADING, UPLOADED):
            installation.record(event)
        _furnish(installation.base / "upload", installation.folder)
        installation.up(f"--max_upload_bytes={table.MOST_UPLOAD}", f"--body_stall_timeout={STALL}")

    def send(self, row: Row) -> Exchange:
        return exchange(
            self.installation.port,
            row.sent,
            answers=len(row.expected),
            to_end=row.closes,
            ends=row.ends,
        )

    def send_good(self) -> str:
        """The next good request; gives its path."""
        self._goods += 1
        path = f"/upload/good-{self._goods}"
        answer = exchange(self.installation.port, put(path), answers=1, to_end=False, ends=False)
        assert answer.statuses == (201,), answer.raw
        return path

    def asked(self) -> list[str]:
        """Paths of all questions so far."""
        return self._paths(UPLOADING)

    def told(self) -> list[str]:
        """Paths of all stored files that were told of so far."""
        return self._paths(UPLOADED)

    def _paths(self, event: str) -> list[str]:
        record = self.installation.folder / f"{event}.jsonl"
        lines = record.read_text().splitlines() if record.exists() else []
        return [json.loads(line)["path"] for line in lines]


def _furnish(upload: Path, outside: Path) -> None:
    """What stands in the way of some rows."""
    (upload / "folder").mkdir(parents=True)
    (upload / "file").write_bytes(b"kept")
    (upload / "link").symlink_to(outside)
    (upload / "dangling").symlink_to("nowhere")
    os.mkfifo(upload / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        here = os.open(upload, os.O_RDONLY)
        # The name of a socket is short, wherever the tests run.
        bound.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)


@pytest.fixture(scope="module")
def edge(shared: Installation) -> Iterator[Edge]:
    """One installation for the whole table."""
    yield Edge(shared)


def rows(*tables: Table) -> list[Row]:
    return [row for table in tables for row in table]


def name(row: Row) -> str:
    return f"{row.id} {row.what}"


ALL = rows(table.FRAMING, table.HEADS, table.NAMES, table.CONDITIONS)
#: Rows of a body that cannot be told from a good one before its end: they may ask, and no more.
ASKING = {"B18", "B20", "B22", "B23", "B24", "B25", "B26", "B27", "B28", "B29"}
#: Rows whose verdict is what stands on the disk, after the question who may.
PLACES = {"B87", "B88", "B89", "B90", "B110"}


@pytest.mark.parametrize("row", [row for row in ALL if row.refused], ids=name)
def test_refuses_and_leaves_no_trace(edge: Edge, row: Row) -> None:
    stored, asked = edge.installation.stored(), edge.asked()

    answer = edge.send(row)

    assert answer.statuses == row.expected, answer.raw
    assert answer.closed or not row.closes
    until(lambda: edge.installation.stored() == stored, report=edge.installation.stored)
    good = edge.send_good()
    news = edge.asked()[len(asked) :]
    assert news[-1] == good
    assert len(news) == 1 or (row.id in ASKING | PLACES and len(news) == 2)
    assert (edge.installation.base / "upload/file").read_bytes() == b"kept"


@pytest.mark.parametrize("row", [row for row in ALL if not row.refused], ids=name)
def test_takes_what_only_looks_bad(edge: Edge, row: Row) -> None:
    answer = edge.send(row)

    assert answer.statuses == row.expected, answer.raw
    assert answer.closed or not row.closes
    assert (edge.installation.base / str(row.stores)).is_file()
    edge.send_good()


def test_tells_of_stored_files_and_of_nothing_else(edge: Edge) -> None:
    upload = edge.installation.base / "upload"
    last = edge.send_good()

    until(lambda: last in edge.told())

    for path in edge.told():
        assert (upload.parent / path[1:]).is_file()
    assert "/upload/x" not in edge.told()
