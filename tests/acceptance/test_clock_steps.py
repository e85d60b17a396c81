"""The wall clock of the machine is set, forward and back, while everything runs (libfaketime)."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import Installation
from tests.acceptance.process import until

#: Fails until a file is there.
HANDLER = """\
name: handler
event: APIGW.OnFileUploaded
script: |-
  import os

  async def handler(event, handle):
      if not os.path.exists({folder!r} + event["path"].replace("/", "-")):
          raise Error(503, "not now")
"""
#: Every upload needs an answer of the worker, which is signed with its time, and no token.
GATE = """\
name: gate
event: APIGW.OnFileUploading
script: |-
  async def gate(event, handle):
      pass
"""


class FakeTime:
    """A wall clock that processes started with `environ` read, and that can be set."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "faketime"
        self.set(0)
        libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        assert libraries, "this test needs libfaketime: scripts/debian faketime"
        self.environ = {
            "LD_PRELOAD": str(libraries[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, seconds: int) -> None:
        """Set it this far from the true time."""
        draft = self._file.with_suffix(".draft")
        draft.write_text(f"{seconds:+d}\n")
        os.replace(draft, self._file)


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> FakeTime:
    return FakeTime(tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="module")
def running(shared: Installation, clock: FakeTime) -> Iterator[Installation]:
    own = dict(shared.environ)
    shared.plugin("handler.yml", HANDLER.format(folder=str(shared.folder / "mended")))
    shared.plugin("gate.yml", GATE)
    shared.environ.update(clock.environ)
    shared.up("--token_ttl=600")
    shared.environ.clear()
    shared.environ.update(own)
    yield shared


@pytest.mark.parametrize("seconds", [-3600, 3600, 0])
def test_a_clock_that_is_set_holds_up_no_event_and_no_operator(
    running: Installation, clock: FakeTime, seconds: int
) -> None:
    old, path = running.token, f"/upload/{seconds}"
    file = running.file("f", b"content")
    assert running.upload(file, path).status == 201

    def attempts() -> int:
        answer = running.curl("/-/events", token=running.token)
        return max((event["attempt"] for event in answer.json["events"]), default=0)

    until(lambda: attempts() >= 3, report=lambda: running.log)
    clock.set(seconds)
    until(lambda: running.token != old, within=5, report=lambda: running.log)
    refused = running.curl("/-/events", token=old)
    assert refused.status == 401
    assert "the clock of this gateway says 2" in refused.json["detail"]
    assert running.upload(file, path + "-new").status == 201
    for name in (path, path + "-new"):
        (running.folder / ("mended" + name.replace("/", "-"))).touch()

    until(lambda: attempts() == 0, within=40, report=lambda: running.log)
    assert "clock_set" in running.log
    assert "event_dead" not in running.log
