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


ALL = rows(table.FRAMING, table.HEADS, table.NAMES, table.CONDITIONS, table.BODIES)
#: Rows of a body that cannot be told from a good one before its end: they may ask, and no more.
ASKING = {"B18", "B20", "B22", "B23", "B24", "B25", "B26", "B27", "B28", "B29"}
#: Rows whose verdict is what stands on the disk, after the question who may.
PLACES = {"B87", "B88", "B89", "B90", "B110", "B111", "B112"}


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


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation whose uploads nobody but the default authorization judges."""
    installation = Installation(tmp_path_factory.mktemp("guarded") / "installation")
    installation.record(UPLOADED)
    installation.up()
    yield installation
    installation.end()


def ask(installation: Installation, *fields: str) -> Exchange:
    sent = put("/upload/x", *fields)
    return exchange(installation.port, sent, answers=1, to_end=False, ends=False)


@pytest.mark.parametrize("row", rows(table.CREDENTIALS), ids=name)
def test_lets_nobody_in_without_a_credential(guarded: Installation, row: Row) -> None:
    stored = guarded.stored()

    answer = exchange(guarded.port, row.sent, answers=1, to_end=True, ends=False)

    assert answer.statuses == row.expected, answer.raw
    assert b"\r\nwww-authenticate: bearer" in answer.raw.lower()
    assert guarded.stored() == stored
    assert ask(guarded, f"X-Auth-Token: {guarded.token}").statuses[0] in {200, 201}
    (guarded.base / "upload/x").unlink()
    (guarded.base / "upload").rmdir()


def test_takes_no_token_that_is_a_little_different(guarded: Installation) -> None:
    token = guarded.token
    other = "A" if token[-10] != "A" else "B"
    for wrong in (token[:-1], token + "A", token[:-10] + other + token[-9:], token.swapcase()):
        assert ask(guarded, f"X-Auth-Token: {wrong}").statuses == (401,)


def test_an_address_that_somebody_claims_lets_nobody_in(guarded: Installation) -> None:
    answer = ask(guarded, "X-Forwarded-For: 127.0.0.1", "X-Real-Ip: 203.0.113.9")

    assert answer.statuses == (401,)
    until(lambda: " 401" in guarded.log)
    assert "203.0.113.9" not in guarded.log
