"""Plugins that come, change and go while everything runs; a faulty one changes nothing."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.harness import Installation
from tests.acceptance.process import until

#: Seconds in which a change has to be in force.
AT_ONCE = 1.0

ROUTE = """\
- authorities: [127.0.0.1]
  proxy:
    path: /v1/word
    authorization: {{auth_mode: none}}
  request_forbidden_process: |-
    return "{word}"
"""
GATE = """\
name: gate
event: APIGW.OnFileUploading
script: |-
  async def gate(event, handle):
      await handle.terminate(code={code}, output="{word}")
"""
#: The colon at the end of line 4 is missing.
BROKEN = """\
name: broken
event: APIGW.OnFileUploading
script: |-
  async def broken(event, handle)
      await handle.terminate(code=403)
"""


@pytest.fixture(scope="module")
def up(shared: Installation) -> Installation:
    shared.up()
    return shared


@pytest.fixture
def live(up: Installation) -> Iterator[Installation]:
    """An installation that runs, without a single plugin."""
    yield up
    for plugin in up.plugins.rglob("*.yml"):
        plugin.unlink()
    until(lambda: not shown(up)["plugins"] and not shown(up)["faults"])
    # The worker follows on its own.
    until(lambda: upload(up) in {200, 201})


def shown(installation: Installation) -> Any:
    """What `/-/plugins` says."""
    return installation.curl("/-/plugins", token=installation.token).json


def word(installation: Installation) -> str:
    """What the route answers."""
    answer = installation.curl("/v1/word")
    return answer.text if answer.status == 200 else str(answer.status)


def upload(installation: Installation) -> int:
    """The status of an upload that the default authorization lets through."""
    file = installation.file("f", b"content")
    return installation.upload(file, "/upload/f", token=installation.token).status


def test_a_route_works_within_a_second_of_its_coming_change_and_going(live: Installation) -> None:
    place = live.plugin("word.yml", ROUTE.format(word="first"))
    until(lambda: word(live) == "first", within=AT_ONCE)

    live.plugin("word.yml", ROUTE.format(word="second"))
    until(lambda: word(live) == "second", within=AT_ONCE)

    place.unlink()
    until(lambda: word(live) == "404", within=AT_ONCE)


def test_a_handler_works_within_a_second_of_its_coming_change_and_going(
    live: Installation,
) -> None:
    assert upload(live) in {200, 201}

    place = live.plugin("gate.yml", GATE.format(code=403, word="closed"))
    until(lambda: upload(live) == 403, within=AT_ONCE)

    live.plugin("gate.yml", GATE.format(code=451, word="censored"))
    until(lambda: upload(live) == 451, within=AT_ONCE)

    place.unlink()
    until(lambda: upload(live) == 200, within=AT_ONCE)


def test_a_plugin_in_a_new_folder_works_within_a_second(live: Installation) -> None:
    folder = live.plugins / "below"
    folder.mkdir()

    (folder / "word.yml").write_text(ROUTE.format(word="below"))
    until(lambda: word(live) == "below", within=AT_ONCE)

    (folder / "word.yml").unlink()
    folder.rmdir()


def test_a_faulty_plugin_changes_nothing(live: Installation) -> None:
    live.plugin("word.yml", ROUTE.format(word="sound"))
    until(lambda: word(live) == "sound")

    live.plugin("broken.yml", BROKEN)
    live.plugin("word.yml", ROUTE.format(word="part of the same change"))
    until(lambda: shown(live)["faults"], within=AT_ONCE)

    assert word(live) == "sound"
    assert upload(live) in {200, 201}


def test_a_fault_is_reported_with_its_place_wherever_one_looks(live: Installation) -> None:
    place = live.plugin("misspelt.yml", BROKEN)
    until(lambda: shown(live)["faults"])
    (fault,) = shown(live)["faults"]
    line = f"{place}:4:34: broken.script: syntax error: expected ':'"

    checked = live.run("check", f"--base_dir={live.base}")

    assert (fault["file"], fault["line"], fault["column"]) == (str(place), 4, 34)
    assert "expected ':'" in fault["message"]
    assert checked.returncode == 1
    assert line in checked.stdout.splitlines()
    # Once by APIGW, once by the worker.
    until(lambda: live.log.count(line) == 2, report=lambda: live.log)


def test_a_fault_that_is_mended_is_gone_and_its_plugin_works(live: Installation) -> None:
    live.plugin("gate.yml", BROKEN)
    until(lambda: shown(live)["faults"])

    live.plugin("gate.yml", GATE.format(code=403, word="closed"))

    until(lambda: not shown(live)["faults"], within=AT_ONCE)
    until(lambda: upload(live) == 403, within=AT_ONCE)
    assert live.run("check", f"--base_dir={live.base}").returncode == 0


def test_a_second_plugin_of_one_name_is_a_fault_that_names_the_first(live: Installation) -> None:
    first = live.plugin("a.yml", GATE.format(code=403, word="first"))
    until(lambda: upload(live) == 403)

    second = live.plugin("b.yml", GATE.format(code=451, word="second"))
    until(lambda: shown(live)["faults"], within=AT_ONCE)

    (fault,) = shown(live)["faults"]
    assert (fault["file"], fault["line"]) == (str(second), 1)
    assert f"'gate' exists already, at {first}:1" in fault["message"]
    assert upload(live) == 403


def test_a_traceback_of_a_handler_has_the_line_of_its_yaml(live: Installation) -> None:
    script = GATE.replace('await handle.terminate(code={code}, output="{word}")', "1 / 0")
    place = live.plugin("gate.yml", script)
    until(lambda: upload(live) == 500)

    until(lambda: f'File "{place}", line 5, in gate' in live.log, report=lambda: live.log)
    assert "1 / 0\n" in live.log
