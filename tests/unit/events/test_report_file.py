"""Reports of workers in the data directory: durable, private, shared by several processes."""

import json
import os
import threading
from pathlib import Path

import pytest

from qmonus_lite.errors import BadResource
from qmonus_lite.events.report_file import FILE, ReportFile, State, StoredReport

A, B = "http://127.0.0.1:9100", "http://127.0.0.1:9101"


def stored_report(
    endpoint: str = A, *handles: str, state: State = State.LIVE, generation: str = "g"
) -> StoredReport:
    return StoredReport(
        endpoint=endpoint,
        handles=frozenset(handles),
        generation=generation,
        heard_at=5.0,
        state=state,
        since=4.0,
    )


def keep(file: ReportFile, report: StoredReport) -> None:
    file.edit(lambda entries: entries.update({report.endpoint: report}))


def test_what_was_kept_is_read_by_the_next_process(tmp_path: Path) -> None:
    assert ReportFile(tmp_path).read() == {}
    keep(ReportFile(tmp_path), stored_report(A, "E"))
    keep(ReportFile(tmp_path), stored_report(B, state=State.STOPPED))

    assert ReportFile(tmp_path).read() == {
        A: stored_report(A, "E"),
        B: stored_report(B, state=State.STOPPED),
    }


def test_the_file_is_private_and_leaves_no_draft(tmp_path: Path) -> None:
    keep(ReportFile(tmp_path), stored_report())

    assert os.listdir(tmp_path) == [FILE]
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_several_writers_lose_no_entry(tmp_path: Path) -> None:
    def write(number: int) -> None:
        for n in range(5):
            keep(ReportFile(tmp_path), stored_report(f"http://127.0.0.1:{number * 10 + n + 1}"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ReportFile(tmp_path).read()) == 20


def test_a_change_by_another_process_is_seen_also_across_ones_own(tmp_path: Path) -> None:
    mine, other = ReportFile(tmp_path), ReportFile(tmp_path)
    mine.read()
    keep(mine, stored_report(A))
    assert not mine.changed
    keep(other, stored_report(B))
    assert mine.changed
    keep(mine, stored_report(A, "E"))
    assert mine.changed

    assert set(mine.read()) == {A, B}
    assert not mine.changed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 2, "workers": {}}',
        '{"format": 1, "workers": []}',
        '{"format": 1, "workers": {"a": {}}}',
        json.dumps({"format": 1, "workers": {A: {**stored_report().to_json(), "state": "asleep"}}}),
    ],
)
def test_a_file_that_cannot_be_read_refuses_and_says_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)

    with pytest.raises(BadResource, match="move it aside"):
        ReportFile(tmp_path).read()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for others")
def test_what_root_writes_the_owner_of_the_directory_can_read(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    keep(ReportFile(tmp_path), stored_report())

    assert (tmp_path / FILE).stat().st_uid == 12345
