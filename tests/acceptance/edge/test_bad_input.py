"""The whole table of bad inputs against real processes: requests over raw sockets, and files."""

import re
import statistics
import time
from collections.abc import Iterator

import pytest

from tests.acceptance.edge import table
from tests.acceptance.edge.installations import MAX_LOAD_SECONDS, Edge, Guarded, name_of
from tests.acceptance.edge.table import credentials, messages, plugins
from tests.acceptance.edge.table.row import Command, Credential, Message, PluginFile, Request, Row
from tests.acceptance.harness import Installation
from tests.acceptance.process import until

#: Seconds within which any row is answered.
QUICK = 5.0
#: Rows of a body that cannot be told from a good one before its end: they may ask, and no more.
ASKING = {"B18", "B20", "B22", "B23", "B24", "B25", "B26", "B27", "B28", "B29"}
#: Address in the `X-Forwarded-For` of a row.
CLAIMED_ADDRESS = "203.0.113.9"
#: Rows that depend on what is on the disk, checked after authorization.
PLACES = {"B87", "B88", "B89", "B90", "B110", "B111", "B112"}


def name(row: Row) -> str:
    return f"{row.id} {row.what}"


def test_every_id_of_the_list_has_its_row() -> None:
    rows = {row.id for row in table.everything()}

    assert len(table.IDS) == 117
    assert set(table.IDS) - rows == set()
    assert rows - set(table.IDS) == set()


@pytest.fixture(scope="module")
def edge(shared: Installation) -> Iterator[Edge]:
    """One installation for all rows but those about credentials."""
    yield Edge(shared)


@pytest.mark.parametrize("row", [row for row in table.REQUESTS if row.refused], ids=name)
def test_refuses_and_leaves_no_trace(edge: Edge, row: Request) -> None:
    began = time.monotonic()

    with edge.untouched(questions=row.id in ASKING | PLACES):
        answer = edge.send(row)

        assert time.monotonic() - began < QUICK
        assert answer.statuses == row.expected, answer.raw
        assert answer.closed or not row.closes


@pytest.mark.parametrize("row", [row for row in table.REQUESTS if not row.refused], ids=name)
def test_takes_what_only_looks_bad(edge: Edge, row: Request) -> None:
    answer = edge.send(row)

    assert answer.statuses == row.expected, answer.raw
    assert answer.closed or not row.closes
    assert row.stores is None or (edge.installation.base / row.stores).is_file()
    edge.send_good()


@pytest.mark.parametrize("row", messages.ROWS, ids=name)
def test_a_worker_acts_on_nothing_that_is_not_right(edge: Edge, row: Message) -> None:
    before = edge.ran()

    with edge.untouched():
        answers = [edge.tell_worker(made(edge.secret)) for made in row.sent]

        assert answers == [(status,) for status in row.expected]
        assert edge.ran() - before == row.runs


@pytest.fixture(scope="module")
def refused(edge: Edge) -> dict[str, dict[str, int]]:
    """The first fault of every bad plugin file, by the file's name.

    All are dropped together: each is checked by itself, and one look at the folder is quicker.
    """
    bad = {file_of(row): row for row in plugins.ROWS if row.place}
    paths = {edge.installation.plugins / name: row for name, row in bad.items()}
    before = edge.plugins()
    with edge.untouched():
        for path, row in paths.items():
            path.write_bytes(row.content)
        until(lambda: edge.faulty() >= bad.keys(), within=MAX_LOAD_SECONDS, report=edge.faulty)
    found = edge.plugins()
    assert found["fingerprint"] == before["fingerprint"]
    for path in paths:
        path.unlink()
    until(lambda: not edge.faulty(), within=MAX_LOAD_SECONDS)
    return {name_of(fault): fault for fault in reversed(found["faults"])}


def file_of(row: PluginFile) -> str:
    """A name for its file; it sorts behind all others, so that it is the one in the wrong."""
    return f"zz-{re.sub('[^A-Za-z0-9]+', '-', name(row))}.yml"


@pytest.mark.parametrize("row", [row for row in plugins.ROWS if row.place], ids=name)
def test_a_plugin_file_is_refused_with_its_place(
    refused: dict[str, dict[str, int]], row: PluginFile
) -> None:
    fault = refused[file_of(row)]

    assert row.place is not None
    line, column = row.place
    assert fault["line"] == (line or fault["line"]), fault
    assert fault["column"] == (column or fault["column"]), fault


@pytest.mark.parametrize("row", [row for row in plugins.ROWS if not row.place], ids=name)
def test_a_plugin_file_that_only_looks_bad_is_taken(edge: Edge, row: PluginFile) -> None:
    before = sorted(edge.installation.base.parent.rglob("x*"))
    path = edge.installation.plugins / file_of(row)
    with edge.untouched():
        path.write_bytes(row.content)

        until(lambda: str(path) in {plugin["file"] for plugin in edge.plugins()["plugins"]})
        assert sorted(edge.installation.base.parent.rglob("x*")) == before
    path.unlink()


@pytest.mark.parametrize("row", plugins.COMMANDS, ids=name)
def test_a_command_is_refused(edge: Edge, row: Command) -> None:
    before = sorted(edge.installation.plugins.rglob("*"))
    with edge.untouched():
        done = edge.installation.run(*row.words, f"--base_dir={edge.installation.base}")

        assert done.returncode == 2
        assert row.says in done.stderr
        assert sorted(edge.installation.plugins.rglob("*")) == before


def test_tells_of_stored_files_and_of_nothing_else(edge: Edge) -> None:
    upload = edge.installation.base / "upload"
    last = edge.send_good()

    until(lambda: last in edge.told())

    for path in edge.told():
        assert (upload.parent / path[1:]).is_file()
    assert "/upload/x" not in edge.told()


def test_logs_no_address_that_a_client_claims(edge: Edge) -> None:
    rows = [row for row in table.REQUESTS if CLAIMED_ADDRESS.encode() in row.sent]
    before = edge.installation.everything.count("/-/plugins 401")
    for row in rows:
        edge.send(row)

    until(lambda: edge.installation.everything.count("/-/plugins 401") == before + len(rows))
    assert rows
    assert CLAIMED_ADDRESS not in edge.installation.everything


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """One installation for the rows about credentials."""
    installation = Installation(tmp_path_factory.mktemp("guarded") / "installation")
    yield Guarded(installation)
    installation.end()


@pytest.mark.parametrize("row", credentials.ROWS, ids=name)
def test_lets_nobody_in_without_a_credential_for_it(guarded: Guarded, row: Credential) -> None:
    stored = guarded.installation.stored()

    answer = guarded.send(row.sent(guarded.ring), len(row.expected))

    assert answer.statuses == row.expected, answer.raw
    challenges = answer.raw.lower().count(b"\r\nwww-authenticate: bearer")
    assert challenges == row.expected.count(401)
    assert guarded.put(guarded.ring.token).statuses == (200,)
    assert guarded.installation.stored() == stored


def test_unknown_and_wrong_take_the_same_time_and_say_the_same(guarded: Guarded) -> None:
    twins = credentials.TWINS
    taken: dict[bool, list[float]] = {True: [], False: []}
    bodies = set()
    for number in range(150):
        for which, made in ((True, twins.first), (False, twins.second)):
            sent = made(guarded.ring, number)
            began = time.perf_counter()
            answer = guarded.send(sent)
            taken[which].append(time.perf_counter() - began)
            assert answer.statuses == (twins.expected,)
            body = answer.raw.partition(b"\r\n\r\n")[2]
            bodies.add(re.sub(rb'"request_id": "[^"]+"', b"", body))

    first, second = (statistics.median(times) for times in taken.values())
    assert len(bodies) == 1
    # 10 % is the aim; a busy machine is given a little more.
    assert abs(first - second) < 0.15 * max(first, second) + 0.0002


def test_says_nothing_of_keys_and_tokens(guarded: Guarded) -> None:
    ring = guarded.ring
    guarded.send(credentials.log_on("", query=f"?x={ring.key}"))

    until(lambda: "/-/logon 400" in guarded.installation.log)
    for secret in (ring.key, ring.token, ring.revoked, ring.ended):
        assert secret not in guarded.installation.log
