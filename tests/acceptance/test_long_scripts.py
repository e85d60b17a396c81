"""Scripts of routes that take long: how long they may, and who waits for them."""

import re
import signal
import socket
import time

import pytest

from tests.acceptance.harness import UPLOADED, Installation
from tests.acceptance.process import until

#: Seconds: what a callout may take elsewhere, and a script of a route.
CALLOUT, SCRIPT = 0.3, 1.5

ROUTE = """\
- authorities: [127.0.0.1]
{more}
  proxy: {{path: /{name}, authorization: {{auth_mode: none}}}}
  request_forbidden_process: |-
    import os
    open(os.path.join(options.base_dir, "begun-{name}"), "w").close()
    await asyncio.sleep({seconds})
    open(os.path.join(options.base_dir, "done-{name}"), "w").close()
    return "done"
"""
#: Like the founding page's: it does not look at what it got.
HANDLER = f"""\
name: ask
event: {UPLOADED}
script: |-
  async def ask(event, handle):
      name = event["path"].rpartition("/")[2]
      answer = await callout(
          endpoint="%s:%d" % (event["address"], event["port"]), path="/" + name, method=PUT)
      logger.info("%s gave %d", name, answer.code)
"""


def route(installation: Installation, name: str, seconds: float, more: str = "") -> None:
    text = ROUTE.format(name=name, seconds=seconds, more=more)
    installation.plugin(f"{name}.yml", text)


@pytest.fixture(scope="module")
def asking(shared: Installation) -> Installation:
    """An installation whose handler asks the route that a file is named after."""
    route(shared, "slow", 1)
    route(shared, "too-slow", 60)
    route(shared, "own", 2, "  timeout: 30")
    route(shared, "left", 1)
    shared.plugin("ask.yml", HANDLER)
    shared.up(f"--callout_request_timeout={CALLOUT}", f"--route_script_timeout={SCRIPT}")
    return shared


def leave(installation: Installation, name: str) -> None:
    """Ask a route, and leave when its script has begun."""
    with socket.create_connection(("127.0.0.1", installation.port)) as client:
        client.sendall(f"GET /{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        until((installation.base / f"begun-{name}").exists)


def asked(installation: Installation, name: str) -> int:
    """The code that the handler got from the route of this name."""
    file = installation.file("file", b"x")
    assert installation.upload(file, f"/upload/{name}", token=installation.token).status == 201
    until(lambda: f"{name} gave " in installation.log, report=lambda: installation.log)
    found = re.search(rf"{name} gave (\d+)", installation.log)
    assert found
    return int(found[1])


def test_a_callout_to_our_own_gateway_lasts_as_long_as_the_script_there(
    asking: Installation,
) -> None:
    assert asked(asking, "slow") == 200
    assert f"{asking.url}/slow got" not in asking.log


def test_the_timeout_of_a_route_beats_that_of_the_flag(asking: Installation) -> None:
    assert asked(asking, "own") == 200


def test_a_script_that_is_cut_is_told_where_its_limit_comes_from_and_who_did_not_notice(
    asking: Installation,
) -> None:
    assert asked(asking, "too-slow") == 504
    line = HANDLER.splitlines().index("      answer = await callout(") + 1
    place = f"{asking.plugins / 'ask.yml'}:{line}"

    limit = f"was not done within {SCRIPT} s (--route_script_timeout, or the route's own timeout)"
    assert f"/too-slow.request_forbidden_process {limit}" in asking.log
    until(lambda: "ended well, though" in asking.log)
    (warning,) = (line for line in asking.log.splitlines() if "ended well, though" in line)
    assert " warning " in warning
    assert place in warning
    assert f"its callout PUT {asking.url}/too-slow got 504" in warning
    assert "event_id=" in warning


def test_a_client_that_leaves_does_not_cancel_the_script(asking: Installation) -> None:
    leave(asking, "left")

    assert not (asking.base / "done-left").exists()
    until((asking.base / "done-left").exists, within=5)


def test_a_stop_waits_for_a_script_whose_client_left_but_no_longer_than_it_may(
    installation: Installation,
) -> None:
    route(installation, "short", 2.2)
    route(installation, "long", 60)
    running = installation.up("--drain_timeout=3")
    for name in ("short", "long"):
        leave(installation, name)

    started = time.monotonic()
    running.send(signal.SIGTERM)
    running.wait()

    assert (installation.base / "done-short").exists()
    assert not (installation.base / "done-long").exists()
    assert 2.5 < time.monotonic() - started < 8
