"""Canaries: no secret, token or key shows in any log, answer, listing or traceback; a rotation."""

import base64
import json
import os
import sqlite3
import subprocess
from contextlib import closing
from urllib.parse import quote

import pytest

from tests.acceptance.harness import UPLOADED, UPLOADING, Installation
from tests.acceptance.process import QMONUS_LITE, SOON, until

SEALED, FROM_ENVIRONMENT = 'cánary "sealed" 81c2/+x', "canary-environment-9d7e"

CONFIG = f"name: canary\nvalues:\n  sealed: '{SEALED}'\n  env: !env CANARY\n"

#: A careless plugin: says all that it has, by the log and by what it raises.
CARELESS = """\
name: careless
event: {event}
script: |-
  async def careless(event, handle):
      values = await get_service_config("canary")
      logger.info("%s", event)
      logger.info("all of it: %s", values, extra={{"values": values}})
      logger.debug("one: " + values["sealed"])
      logger.warning(json.dumps(values) + repr(values) + urllib.parse.quote(values["sealed"]))
      logger.error(base64.b64encode(values["sealed"].encode()).decode())
      if "raise" in event["path"]:
          raise ValueError("cannot use " + values["sealed"] + values["env"])
      if "trace" in event["path"]:
          try:
              {{}}[values["sealed"]]
          except KeyError:
              logger.exception("no")
"""

ROUTE = """\
- authorities: ["127.0.0.1:1"]
  proxy: {path: /careless, authorization: {auth_mode: none}}
  request_forbidden_process: |-
    values = await get_service_config("canary")
    logger.info("%s %s", values, request)
    raise RuntimeError(f"{values}")
"""


def canaries(installation: Installation, *more: str) -> set[str]:
    """Everything that must not be said, in the forms that it could be said in."""
    found = set(more)
    for name in ("config.key", "token.key", "event.key"):
        found.add((installation.data / name).read_text().strip())
    for secret in (SEALED, FROM_ENVIRONMENT):
        encoded = base64.b64encode(secret.encode()).decode()
        found |= {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret), encoded}
    return found


def recorded(installation: Installation) -> str:
    """All texts of the records database."""
    with closing(sqlite3.connect(installation.data / "records.db")) as database:
        return "".join(f"{row}\n" for row in database.iterdump())


def everything_said(installation: Installation) -> str:
    """By all processes, on both streams."""
    return "".join(process.stdout + process.stderr for process in installation._processes)


@pytest.mark.parametrize("flags", [("json", "debug"), ("console", "debug"), ("console", "info")])
def test_no_secret_token_or_key_is_ever_said(
    installation: Installation, flags: tuple[str, str]
) -> None:
    installation.environ["CANARY"] = FROM_ENVIRONMENT
    file = installation.plugin("canary.yml", CONFIG)
    base = f"--base_dir={installation.base}"
    assert installation.run("config", "seal", str(file), "sealed", base).returncode == 0
    for event in (UPLOADING, UPLOADED):
        text = CARELESS.format(event=event).replace("name: careless", f"name: careless-{event}")
        installation.plugin(f"{event}.yml", text)
    installation.plugin("route.yml", ROUTE)
    key = installation.account("kim", "admin")
    installation.up(f"--log_format={flags[0]}", f"--log_level={flags[1]}")
    token = installation.log_on(key)
    body = installation.file("f", b"content")

    answers = [
        installation.upload(body, f"/upload/{name}", "-H", f"X-API-Key: {key}", token=token)
        for name in ("plain", "trace", "raise")
    ]
    answers += [installation.curl("/careless", token=token)]
    # An address is written down in many places, so no credential of ours is taken in one.
    answers += [installation.upload(body, f"/upload/plain?access={token}", token=token)]
    answers += [
        installation.curl(f"/careless?password={credential}", token=token)
        for credential in (token, key)
    ]
    answers += [
        installation.curl(f"/-/{name}", token=token)
        for name in ("plugins", "openapi.json", "metrics")
    ]
    assert [answer.status for answer in answers] == [
        *[201, 201, 500, 500],
        *[400, 400, 400],
        *[200, 200, 200],
    ]
    until(lambda: everything_said(installation).count("all of it") >= 5)
    ids = installation.curl("/-/events", token=token)
    wanted = [str(answer.headers["X-Request-Id"]) for answer in answers]
    until(lambda: installation.curl(f"/-/uploads/{wanted[6]}", token=token).status == 200)
    answers += [installation.curl("/-/uploads", token=token)]
    explained = [installation.run("why", each, base) for each in (wanted[2], wanted[3])]
    assert ["ValueError" in explained[0].stdout, "RuntimeError" in explained[1].stdout] == [
        True
    ] * 2
    listed = installation.run("events", "list", base)
    shown = installation.run("config", "show", "canary", base)

    said = everything_said(installation) + listed.stdout + shown.stdout
    said += "".join(each.stdout for each in explained)
    said += recorded(installation)
    said += "".join(answer.text + str(answer.headers) for answer in [*answers, ids])
    assert {canary for canary in canaries(installation, key, token) if canary in said} == set()
    assert "KeyError" in said and "ValueError" in said and "********" in said
    assert "access=" not in installation.log or "********" in installation.log


def test_what_a_stranger_sends_cannot_forge_a_record(installation: Installation) -> None:
    installation.up()
    forged = "%0d%0a2026-01-01T00:00:00%20%5Berror%5D%20forged%1b%5B2J%c2%9b"

    installation.curl(f"/upload/{forged}", "-X", "DELETE", "-H", "User-Agent: x\x1b[2J")
    installation.curl(f"/nothing/{forged}")

    until(lambda: "nothing" in installation.log)
    assert not any(line.startswith("2026-01-01") for line in installation.log.splitlines())
    assert set(installation.log) & set("\x1b\x9b\r") == set()


ASKING = """\
- authorities: ["127.0.0.1:1"]
  proxy: {path: /asking, authorization: {auth_mode: none}}
  request_forbidden_process: |-
    values = await get_service_config("canary")
    return str(values["sealed"] == "s3cret-value" and len(values))
"""


def test_a_rotation_under_load_is_never_noticed(installation: Installation) -> None:
    values = "".join(f"  k{n}: secret number {n}\n" for n in range(20))
    file = installation.plugin(
        "canary.yml", f"name: canary\nvalues:\n  sealed: s3cret-value\n{values}"
    )
    base = f"--base_dir={installation.base}"
    installation.run("config", "seal", str(file), base)
    installation.plugin("asking.yml", ASKING)
    installation.up()
    assert installation.curl("/asking").text == "21"
    key = (installation.data / "config.key").read_bytes()

    for _ in range(3):
        rotating = subprocess.Popen(
            [*QMONUS_LITE, "config", "rotate", base],
            cwd=installation.folder,
            env=installation.environ,
            stdout=subprocess.PIPE,
            text=True,
        )
        while rotating.poll() is None:
            assert installation.curl("/asking").text == "21"
        assert rotating.communicate(timeout=SOON)[0].startswith("sealed 21 value(s)")
        assert installation.curl("/asking").text == "21"

    assert (installation.data / "config.key").read_bytes() != key
    assert os.stat(installation.data / "config.key").st_mode & 0o777 == 0o400
    until(lambda: not installation.curl("/-/plugins", token=installation.token).json["faults"])
    assert "plugin_fault" not in installation.log


def test_a_rotation_that_is_killed_anywhere_leaves_every_value_open(
    installation: Installation,
) -> None:
    for n in range(6):
        installation.plugin(f"c{n}.yml", f"name: c{n}\nvalues: {{a: secret-{n}}}\n")
    base = f"--base_dir={installation.base}"
    for n in range(6):
        installation.run("config", "seal", str(installation.plugins / f"c{n}.yml"), base)

    for delay in (0.3, 0.5, 0.6, 0.7, 0.8):
        rotating = subprocess.Popen(
            [*QMONUS_LITE, "config", "rotate", base],
            cwd=installation.folder,
            env=installation.environ,
            stdout=subprocess.DEVNULL,
        )
        try:
            rotating.wait(delay)
        except subprocess.TimeoutExpired:
            rotating.kill()
            rotating.wait()
        assert installation.run("check", base).returncode == 0

    assert installation.run("config", "rotate", base).returncode == 0
    assert installation.run("check", base).returncode == 0
    assert sorted(path.name for path in installation.data.glob("config.key*")) == ["config.key"]
