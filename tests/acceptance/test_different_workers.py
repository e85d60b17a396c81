"""Two workers with different plugins: the gate that one of them has is never passed by."""

import json
import signal
import time

import pytest

from tests.acceptance.harness import UPLOADED, Installation
from tests.acceptance.process import Running, free_port, until

GATE = """\
name: gate
event: APIGW.OnFileUploading
script: |-
  async def gate(event, handle):
      await handle.terminate(403, "closed")
"""
#: A plugin that changes the fingerprint and nothing else.
OTHER = """\
name: other-{n}
event: Other
script: |-
  async def other(event, handle):
      pass
"""
SMALL, LONG = b"x", b"x" * 300_000


class Pair:
    """An APIGW and two workers: the first has the gate, the second has not."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.ports = (installation.lambda_port, free_port())
        self.endpoints = [f"http://127.0.0.1:{port}" for port in self.ports]
        self.folders = [installation.folder / name for name in ("first", "second")]
        for folder in self.folders:
            folder.mkdir()
        (self.folders[0] / "gate.yml").write_text(GATE)
        self.apigw = self.start_apigw()
        self.workers = [self.start_worker(0), self.start_worker(1)]
        self.until_up(0)
        self.until_up(1)

    def start_apigw(self) -> Running:
        return self.installation.start("apigw", f"--lambda_endpoints={','.join(self.endpoints)}")

    def start_worker(self, which: int) -> Running:
        self.installation.lambda_port = self.ports[which]
        return self.installation.start("lambda", f"--plugins_base_dirs={self.folders[which]}")

    def until_up(self, which: int, times: int = 1) -> None:
        """Wait until the APIGW has heard of a worker so many times."""
        words = f"worker {self.endpoints[which]} answers"
        until(lambda: self.apigw.stderr.count(words) >= times, report=lambda: self.installation.log)

    def upload(self, path: str, content: bytes = SMALL) -> int:
        file = self.installation.file(f"f{len(content)}", content)
        return self.installation.upload(file, path, token=self.installation.token).status

    def uploads(self) -> set[int]:
        """The statuses of small and long uploads, which leave nothing."""
        said = {self.upload(f"/upload/f{n}", LONG if n % 2 else SMALL) for n in range(4)}
        assert self.installation.stored() == []
        return said

    def nodes(self, *words: str) -> str:
        done = self.installation.run("nodes", *words, f"--base_dir={self.installation.base}")
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def unready(self) -> str:
        """What `/-/ready` says while it is not."""
        answer = self.installation.curl("/-/ready")
        return "" if answer.status == 200 else answer.text


@pytest.fixture(scope="module")
def pair(shared: Installation) -> Pair:
    return Pair(shared)


def test_every_upload_is_refused_by_the_gate_of_one_worker(pair: Pair) -> None:
    assert [pair.uploads() for _ in range(3)] == [{403}] * 3


def test_reloading_plugins_opens_nothing(pair: Pair) -> None:
    for n in range(3):
        for folder in pair.folders:
            (folder / f"other-{n}.yml").write_text(OTHER.format(n=n))
        end = time.monotonic() + 0.4
        while time.monotonic() < end:
            assert pair.uploads() == {403}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_while_the_gate_is_away_nothing_is_let_in(pair: Pair, number: signal.Signals) -> None:
    pair.workers[0].send(number)
    while pair.endpoints[0] not in pair.unready:
        assert pair.uploads() <= {403, 503}
    assert pair.uploads() == {503}
    assert f"qmonus-lite nodes forget {pair.endpoints[0]}" in pair.unready

    pair.apigw.kill()
    pair.apigw = pair.start_apigw()
    pair.until_up(1)
    assert pair.uploads() == {503}

    pair.workers[0] = pair.start_worker(0)
    while pair.unready:
        assert pair.uploads() <= {403, 503}
    assert pair.uploads() == {403}


def test_a_gate_that_is_away_can_be_dropped_until_its_worker_is_back(pair: Pair) -> None:
    ups = pair.apigw.stderr.count(f"worker {pair.endpoints[0]} answers")
    pair.workers[0].kill()
    until(lambda: pair.unready)
    listed = {node["endpoint"]: node for node in json.loads(pair.nodes("--json"))}
    assert (listed[pair.endpoints[0]]["state"], listed[pair.endpoints[1]]["state"]) == (
        "away",
        "live",
    )
    assert "APIGW.OnFileUploading" in listed[pair.endpoints[0]]["events"]

    pair.nodes("forget", pair.endpoints[0])
    until(lambda: not pair.unready, within=3)
    assert pair.upload("/upload/in") == 201
    assert f"{pair.endpoints[0]} dropped" in pair.nodes()

    (pair.installation.base / "upload" / "in").unlink()
    pair.workers[0] = pair.start_worker(0)
    pair.until_up(0, ups + 1)
    assert pair.upload("/upload/in") == 403


def test_an_event_is_delivered_where_its_handler_is_and_waits_for_it(pair: Pair) -> None:
    """The worker without the handler does not swallow it, nor the inbox that both share."""
    installation = pair.installation
    (pair.folders[0] / "gate.yml").unlink()
    installation.record(UPLOADED)
    next(installation.plugins.glob("record-*")).rename(pair.folders[0] / "record.yml")
    until(lambda: "FileUploaded" in pair.nodes() and "Uploading" not in pair.nodes())
    for n in range(6):
        assert pair.upload(f"/upload/f{n}") == 201
    for n in range(6):
        installation.recorded(UPLOADED, f"/upload/f{n}")

    pair.workers[0].kill()
    until(lambda: f"{pair.endpoints[0]} away" in pair.nodes())
    assert pair.upload("/upload/later") == 201
    time.sleep(0.6)
    waiting = installation.curl("/-/events", token=installation.token).json["events"]
    assert [(event["path"], event["attempt"]) for event in waiting] == [("/upload/later", 0)]
    warnings = installation.curl("/-/ready").json["warnings"]
    assert any(pair.endpoints[0] in line for line in warnings)
    pair.start_worker(0)
    installation.recorded(UPLOADED, "/upload/later")
