"""Plugin files that others could have written, and patterns; the table of the edge has the rest."""

import time

import pytest

from tests.acceptance.harness import Installation
from tests.acceptance.process import until

GOOD = """\
- authorities: ["127.0.0.1:1"]
  proxy: {path: /good, authorization: {auth_mode: none}}
  request_forbidden_process: |-
    return "good"
"""
ROLE = "- name: bad\n  authorities: [{{regex: '{0}', methods: [GET]}}]\n"


@pytest.fixture(scope="module")
def running(shared: Installation) -> Installation:
    shared.plugin("good.yml", GOOD)
    shared.up()
    return shared


def faults(running: Installation) -> list[dict[str, object]]:
    found: list[dict[str, object]] = running.curl("/-/plugins", token=running.token).json["faults"]
    return found


def test_what_others_may_write_is_not_loaded(running: Installation) -> None:
    before = running.curl("/good").text
    file = running.plugin("good.yml", GOOD.replace('"good"', '"changed"'))
    file.chmod(0o666)

    until(lambda: faults(running), within=5)
    assert "writable for others" in str(faults(running)[0]["message"])
    assert running.curl("/good").text == before

    file.chmod(0o644)
    until(lambda: running.curl("/good").text == "changed", within=5)
    assert not faults(running)


def test_a_link_is_not_followed(running: Installation) -> None:
    real = running.folder / "real.yml"
    real.write_text(GOOD.replace("/good", "/linked"))
    link = running.plugins / "link.yml"
    link.symlink_to(real)

    until(lambda: faults(running), within=5)
    assert "symbolic link" in str(faults(running)[0]["message"])
    assert running.curl("/linked").status == 404
    link.unlink()
    until(lambda: not faults(running), within=5)


def test_a_pattern_that_would_stall_another_engine_answers_at_once(running: Installation) -> None:
    file = running.plugin("slow.yml", ROLE.format("/upload/(a+)+$").replace("bad", "slow"))
    key = running.account("slow", "slow")
    until(lambda: running.curl("/-/logon", "-X", "POST", "-H", f"X-API-Key: {key}").status == 200)
    token = running.log_on(key)
    began = time.monotonic()

    assert running.curl("/upload/" + "a" * 200 + "!", token=token).status in {403, 405}
    assert time.monotonic() - began < 1
    (running.plugins / "accounts/slow.yml").unlink()
    file.unlink()


def test_an_emoji_as_json_writes_it_takes_no_worker_away(running: Installation) -> None:
    files = {
        "event.yml": 'name: zz\nevent: "\\ud83d\\ude00"\n'
        "script: |-\n  async def zz(event, handle):\n      pass\n",
        "usage.yml": GOOD.replace("/good", "/usage")
        + '  spec: [{method: GET, usage: "\\ud83d\\ude00"}]\n',
    }
    for name, text in files.items():
        running.plugin(name, text)
    until(lambda: running.curl("/usage").text == "good", within=5)

    shown = running.curl("/-/plugins", token=running.token).json
    assert "\U0001f600" in shown["events"]
    openapi = running.curl("/-/openapi.json", token=running.token).json
    assert openapi["paths"]["/usage"]["get"]["description"] == "\U0001f600"
    sent = running.upload(running.file("f", b"content"), "/upload/f", token=running.token)
    assert sent.status in {200, 201}
    for name in files:
        (running.plugins / name).unlink()


def test_half_an_emoji_and_no_number_leave_the_running_set_as_it_was(
    running: Installation,
) -> None:
    running.plugin("half.yml", 'name: zz\nevent: "\\ud83d"\nscript: |-\n  x\n')
    running.plugin("nan.yml", "name: nan\nvalues: {a: .nan}\n")
    until(lambda: len(faults(running)) == 2, within=5)

    assert [(fault["line"], fault["column"]) for fault in faults(running)] == [(2, 8), (2, 10)]
    sent = running.upload(running.file("f", b"content"), "/upload/f", token=running.token)
    assert sent.status in {200, 201}
    for name in ("half.yml", "nan.yml"):
        (running.plugins / name).unlink()
    until(lambda: not faults(running), within=5)
