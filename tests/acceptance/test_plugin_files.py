"""Plugin files that must not be taken over: refused with their place, and the running set stays."""

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
HANDLER = "name: bad\nevent: E\nscript: |-\n  {0}\n"
BODY = """\
- authorities: ["127.0.0.1:1"]
  proxy: {{path: /bad}}
  spec: [{{method: POST, schema: {{request: {{body: {0}}}}}}}]
"""
ROLE = "- name: bad\n  authorities: [{{regex: '{0}', methods: [GET]}}]\n"

#: File, and where its first fault stands.
BAD = {
    "B132 python tag": ("name: a\nvalues: {x: !!python/object/apply:os.system [id]}\n", (2, 10)),
    "B132 aliases": ("name: a\nvalues: {x: &x [1], y: [*x, *x]}\n", (2, 25)),
    "B132 duplicate keys": ("name: a\nvalues: {}\nname: b\n", (3, 1)),
    "B132 tabs": ("name: a\nvalues:\n\tx: 1\n", (3, 1)),
    "B132 braces": ("{" * 300, (1, 101)),
    "B132 brackets": ("[" * 20_000, (1, 101)),
    "B132 too large": ("#" * (300 << 10), (1, 1)),
    "B132 two documents": ("name: a\nvalues: {}\n---\nname: b\n", (3, 1)),
    "B133 syntax": (HANDLER.format("async def f(event, handle) pass"), (4, 30)),
    "B133 no function": (HANDLER.format("x = 1"), (4, 3)),
    "B133 not async": (HANDLER.format("def f(event, handle): pass"), (4, 3)),
    "B133 signature": (HANDLER.format("async def f(event): pass"), (4, 3)),
    "B133 import": (
        HANDLER.format("import no_such_module\n  async def f(event, handle): pass"),
        (4, 3),
    ),
    "B133 minus": (HANDLER.format("x = " + "-" * 200_000 + "1"), (4, 3)),
    "B134 bad schema": (BODY.format("{type: strong}"), None),
    "B134 look-around": (BODY.format("{pattern: '(?=a)b'}"), None),
    "B134 remote ref": (BODY.format("{$ref: 'http://127.0.0.1:1/x'}"), None),
    "B134 role, look-around": (ROLE.format("/(?!a)"), (2, 18)),
    "B134 role, large": (ROLE.format("/(a{1000}){1000}"), (2, 18)),
    "B135 duplicate route": (GOOD, None),
}


@pytest.fixture(scope="module")
def running(shared: Installation) -> Installation:
    shared.plugin("good.yml", GOOD)
    shared.up()
    return shared


def faults(running: Installation) -> list[dict[str, object]]:
    found: list[dict[str, object]] = running.curl("/-/plugins", token=running.token).json["faults"]
    return found


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_named_with_its_place_and_the_running_set_stays(
    running: Installation, name: str
) -> None:
    text, place = BAD[name]
    began = time.monotonic()
    file = running.plugin("zz-bad.yml", text)

    until(lambda: faults(running), within=5, report=lambda: name)
    took = time.monotonic() - began
    first = faults(running)[0]
    assert str(file) == first["file"]
    assert (first["line"], first["column"]) == (place or (first["line"], first["column"]))
    assert running.curl("/good").text == "good"
    assert took < 5

    file.unlink()
    until(lambda: not faults(running), within=5)


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
