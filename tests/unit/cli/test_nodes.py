"""`nodes`, `nodes forget`: the kept reports of workers."""

import json
import os
from collections.abc import Callable, Iterator

import pytest

from qmonus_lite.datadir import DataDir
from qmonus_lite.events.report_file import Entries, ReportFile, State, StoredReport
from tests.unit.cli.conftest import Shell

A, B = "http://10.0.0.8:9100", "http://10.0.0.9:9100"


def keep_all(more: Entries) -> Callable[[Entries], None]:
    return lambda entries: entries.update(more)


@pytest.fixture
def locked(shell: Shell) -> Iterator[None]:
    """The data directory as a running APIGW holds it."""
    descriptor = DataDir(shell.state).lock()
    yield
    os.close(descriptor)


@pytest.fixture
def kept(shell: Shell) -> ReportFile:
    """A worker that answered when the APIGW was killed, and one that was away by then."""
    report_file = ReportFile(DataDir(shell.state).path)
    for endpoint, state in ((A, State.LIVE), (B, State.AWAY)):
        report = StoredReport(
            endpoint=endpoint,
            handles=frozenset({"APIGW.OnFileUploading"} if endpoint == B else ()),
            generation="0123456789abcdef",
            heard_at=1000.0,
            state=state,
            since=2000.0,
        )
        report_file.edit(keep_all({endpoint: report}))
    return report_file


def test_an_installation_without_workers_lists_none(shell: Shell) -> None:
    DataDir(shell.state)

    assert shell.run("nodes").out == ""


@pytest.mark.usefixtures("kept", "locked")
def test_lists_who_answers_what_is_handled_and_since_when(shell: Shell) -> None:
    lines = shell.run("nodes", "list").out.splitlines()
    rows = json.loads(shell.run("nodes", "--json").out)

    times = "since 1970-01-01T00:33:20+00:00 heard=1970-01-01T00:16:40+00:00"
    assert lines == [
        f"{A} live {times} plugins=0123456789ab events=-",
        f"{B} away {times} plugins=0123456789ab events=APIGW.OnFileUploading",
    ]
    assert rows[1] == {
        "endpoint": B,
        "state": "away",
        "since": "1970-01-01T00:33:20+00:00",
        "heard": "1970-01-01T00:16:40+00:00",
        "plugins": "0123456789ab",
        "events": ["APIGW.OnFileUploading"],
    }


@pytest.mark.usefixtures("kept")
def test_says_nothing_of_who_answers_while_no_apigw_runs(shell: Shell) -> None:
    assert shell.run("nodes").out.startswith(f"{A} unknown since")


@pytest.mark.parametrize("name", [B, "10.0.0.9:9100"])
def test_drops_the_report_of_a_worker(shell: Shell, kept: ReportFile, name: str) -> None:
    output = shell.run("nodes", "forget", name).out

    assert output == f"dropped the report of {B}; a running APIGW takes it within a second\n"
    assert kept.read()[B].dropped and not kept.read()[B].counted
    assert f"{B} dropped since" in shell.run("nodes").out


def test_a_worker_that_never_reported_can_be_set_to_handle_nothing(
    shell: Shell, kept: ReportFile
) -> None:
    shell.run("nodes", "forget", "http://10.0.0.7:9100")

    assert kept.read()["http://10.0.0.7:9100"].dropped
    assert "http://10.0.0.7:9100 dropped" in shell.run("nodes").out


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (
            ("forget", "10.0.0.7:9100"),
            f"no worker '10.0.0.7:9100' has ever reported; known: {A}, {B}",
        ),
        (("forget", "ftp://x:1"), "expected http(s)://host:port, got 'ftp://x:1'"),
        (("forget",), "expected nothing, 'list' or 'forget NAME'"),
        (("drop", A), "expected nothing, 'list' or 'forget NAME'"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    shell: Shell, arguments: tuple[str, ...], output: str
) -> None:
    assert output in shell.refused("nodes", *arguments)


@pytest.mark.usefixtures("kept", "locked")
def test_a_worker_that_answers_cannot_be_dropped(shell: Shell) -> None:
    assert f"{A} answers now" in shell.refused("nodes", "forget", A)


def test_a_directory_that_is_not_there_is_refused_and_not_made(shell: Shell) -> None:
    assert "has an APIGW run on it?" in shell.refused("nodes")
    assert not shell.state.exists()
