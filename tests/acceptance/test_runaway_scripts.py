"""Scripts that loop, block, raise anything, take all memory or end the process: uploads go on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from qmonus_lite.scripting.script_threads import MAX_HUNG
from tests.acceptance.harness import UPLOADED, UPLOADING, Installation
from tests.acceptance.process import until

SYNC_TIMEOUT = 1

HANDLER = """\
name: runaway
event: {event}
script: |-
  import os, sys, asyncio
  async def runaway(event, handle):
      if "bad" in event["path"]:
          {deed}
"""

ROUTE = """\
- authorities: ["127.0.0.1:1"]
  timeout: 0.5
  proxy: {{path: /runaway, authorization: {{auth_mode: none}}}}
  request_forbidden_process: |-
    import os, sys, asyncio
    if "{word}" in parameters:
        {deed}
    return "fine"
"""

#: Zeroes that nobody reads are counted, yet they cost the machine nothing.
EATING = "held = [bytes(64 << 20) for _ in range(1 << 16)]"
LOOP = "while True: pass"
SLEEP = "time.sleep(60)"
WAIT = "await asyncio.sleep(60)"

#: What a script does, and the status that its request ends with.
DEEDS = {
    "loop": (LOOP, 504),
    "block": (SLEEP, 504),
    "wait": (WAIT, 504),
    "base-exception": ("raise BaseException('x')", 500),
    "interrupt": ("raise KeyboardInterrupt", 500),
    "exit": ("sys.exit(3)", 500),
    "recursion": ("(lambda again: again(again))(lambda again: again(again))", 500),
    "generator-exit": ("raise GeneratorExit", 500),
    "cancelled": ("raise asyncio.CancelledError", 500),
}


class Busy:
    """An installation whose scripts misbehave on demand."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.good = installation.file("good", b"good")

    def start(self) -> None:
        self.installation.up(f"--lambda_sync_timeout={SYNC_TIMEOUT}")

    def upload(self, name: str) -> int:
        installation = self.installation
        return installation.upload(self.good, f"/upload/{name}", token=installation.token).status

    def handler(self, deed: str, event: str = UPLOADING) -> None:
        """Put it in place and wait until the worker has it."""
        self.installation.plugin("runaway.yml", HANDLER.format(event=event, deed=deed))


@pytest.fixture
def busy(installation: Installation) -> Iterator[Busy]:
    yield Busy(installation)


@pytest.fixture(scope="module")
def many(shared: Installation) -> Busy:
    """One installation for all deeds that a process survives; its plugins choose by a word."""
    busy = Busy(shared)
    for word, (deed, _) in DEEDS.items():
        path = f"/runaway-{word}"
        text = ROUTE.format(word="bad", deed=deed).replace("/runaway", path)
        shared.plugin(f"route-{word}.yml", text)
    lines = [
        f'if "bad-{word}" in event["path"]:\n          {deed}' for word, (deed, _) in DEEDS.items()
    ]
    text = HANDLER.format(event=UPLOADING, deed="pass\n      " + "\n      ".join(lines))
    shared.plugin("runaway.yml", text)
    busy.start()
    return busy


@pytest.mark.parametrize("word", DEEDS)
def test_an_upload_whose_handler_runs_away_is_refused_and_the_next_one_goes_on(
    many: Busy, word: str
) -> None:
    assert many.upload(f"bad-{word}") == DEEDS[word][1]
    assert many.upload(f"good-{word}") in {200, 201}
    assert f"upload/bad-{word}" not in many.installation.stored()


@pytest.mark.parametrize("word", DEEDS)
def test_a_request_whose_script_runs_away_ends_and_the_next_one_goes_on(
    many: Busy, word: str
) -> None:
    path = f"/runaway-{word}"

    assert many.installation.curl(f"{path}?bad=1").status == DEEDS[word][1]
    assert many.installation.curl(path).status == 200


def test_more_stuck_scripts_than_lanes_exhaust_nothing(many: Busy) -> None:
    for _ in range(2):
        with ThreadPoolExecutor(20) as pool:
            asked = [pool.submit(many.installation.curl, "/runaway-loop?bad=1") for _ in range(20)]
            assert {future.result().status for future in asked} == {504}

    assert many.installation.curl("/runaway-loop").status == 200
    assert many.upload("good-after-many") == 201


def test_a_script_that_takes_all_memory_fails_alone(busy: Busy) -> None:
    busy.handler(EATING)
    busy.start()

    assert busy.upload("bad") == 500
    assert busy.upload("good") == 201
    assert "MemoryError" in busy.installation.log
    assert "starting it again" not in busy.installation.log


def test_a_script_that_ends_the_process_costs_its_own_request(busy: Busy) -> None:
    busy.handler("os._exit(1)")
    busy.start()

    assert busy.upload("bad") == 503
    until(lambda: busy.upload("good") in {200, 201}, within=10)
    assert "upload/bad" not in busy.installation.stored()


def test_uploads_go_on_while_a_delivery_ends_the_worker_again_and_again(busy: Busy) -> None:
    busy.handler("os._exit(1)", UPLOADED)
    busy.start()

    assert busy.upload("bad") == 201
    until(lambda: "starting it again" in busy.installation.log, within=10)
    assert busy.upload("good") == 201


@pytest.mark.timeout(60)
def test_a_worker_with_too_many_stuck_scripts_ends_and_comes_back(busy: Busy) -> None:
    # Sleeping inside of C: nothing can break into that.
    busy.handler(SLEEP)
    busy.start()
    statuses: list[int] = []
    with ThreadPoolExecutor(MAX_HUNG) as pool:
        statuses += pool.map(busy.upload, (f"bad-{n}" for n in range(MAX_HUNG + 4)))

    assert set(statuses) <= {503, 504}
    until(lambda: "worker_exhausted" in busy.installation.log, within=10)
    until(lambda: busy.upload("good") in {200, 201}, within=20)
