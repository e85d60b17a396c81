"""The one mutable cell: swapped whole, or kept."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable

import pytest

from qmonus_lite.catalog.live import Live, describe
from qmonus_lite.catalog.plugins import Catalog
from qmonus_lite.errors import BadPlugins
from tests.unit.catalog.stage import Folder, handler


@pytest.fixture
def live(folder: Folder) -> Live:
    folder.put("a.yml", handler("a", line="return 1"))
    return Live(folder.loader)


@pytest.fixture
async def watched(live: Live) -> AsyncIterator[Live]:
    watching = asyncio.create_task(live.watch())
    # The watcher looks at the folder once it runs.
    await asyncio.sleep(0.2)
    yield live
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def until(condition: Callable[[], object], seconds: float = 1.0) -> float:
    """Wait for it; how long it took. The contract grants a second."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds + 2
        await asyncio.sleep(0.01)
    return time.monotonic() - started


def test_a_start_with_faults_is_refused(folder: Folder) -> None:
    folder.put("a.yml", "x: 1\n")

    with pytest.raises(BadPlugins):
        Live(folder.loader)


async def test_takes_over_a_sound_change_and_tells(live: Live, folder: Folder) -> None:
    told: list[Catalog] = []
    live.on_change(told.append)
    before = live.catalog
    folder.put("b.yml", handler("b", event="Other"))

    assert await live.reload()
    assert live.catalog.events == ("Other", "Sample")
    assert told == [live.catalog]
    assert before.events == ("Sample",)


async def test_a_fault_anywhere_changes_nothing(
    live: Live, folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Catalog] = []
    live.on_change(told.append)
    before = live.catalog
    folder.put("b.yml", handler("b"))
    bad = folder.put("c.yml", handler("c", line="return josn"))

    assert not await live.reload()
    assert live.catalog is before
    assert told == []
    assert [(fault.file, fault.line, fault.column) for fault in live.faults] == [(str(bad), 5, 14)]
    actions = [vars(record)["action"] for record in caplog.records]
    assert actions == ["plugin_fault", "plugins_kept"]
    assert f"{bad}:5:14: c.script: name 'josn'" in caplog.text


async def test_the_mended_set_is_taken_over_whole(live: Live, folder: Folder) -> None:
    folder.put("b.yml", handler("b"))
    bad = folder.put("c.yml", "x: 1\n")
    await live.reload()
    bad.unlink()

    assert await live.reload()
    assert live.faults == ()
    assert [one.name for one in live.catalog.listed] == ["a", "b"]


async def test_going_back_to_what_runs_clears_the_faults(live: Live, folder: Folder) -> None:
    before = live.catalog
    folder.put("a.yml", "x: 1\n")
    await live.reload()
    folder.put("a.yml", handler("a", line="return 1"))

    assert await live.reload()
    assert live.faults == ()
    assert live.catalog is before


async def test_a_fault_is_reported_once(
    live: Live, folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    folder.put("a.yml", "x: 1\n")
    await live.reload()
    caplog.clear()

    assert not await live.reload()
    assert caplog.records == []


async def test_who_began_with_a_set_ends_with_it(live: Live, folder: Folder) -> None:
    [before] = live.catalog.lambdas["Sample"]
    folder.put("a.yml", handler("a", line="return 2"))
    await live.reload()
    [after] = live.catalog.lambdas["Sample"]

    assert await before.script.function(None, None) == 1
    assert await after.script.function(None, None) == 2


async def test_a_folder_that_is_gone_changes_nothing(live: Live, folder: Folder) -> None:
    before = live.catalog
    away = folder.path.with_name("elsewhere")
    folder.path.rename(away)

    assert not await live.reload()
    assert live.catalog is before
    away.rename(folder.path)
    assert await live.reload()
    assert live.faults == ()


async def test_sees_a_new_a_changed_and_a_removed_file_within_a_second(
    watched: Live, folder: Folder
) -> None:
    folder.put("deep/b.yml", handler("b", event="Other"))
    assert await until(lambda: "Other" in watched.catalog.events) < 1

    folder.put("a.yml", handler("a", event="Changed"))
    assert await until(lambda: "Changed" in watched.catalog.events) < 1

    (folder.path / "a.yml").unlink()
    assert await until(lambda: watched.catalog.events == ("Other",)) < 1


async def test_sees_a_faulty_file_within_a_second_and_goes_on(
    watched: Live, folder: Folder
) -> None:
    folder.put("b.yml", "x: [\n")
    assert await until(lambda: watched.faults) < 1
    assert watched.catalog.events == ("Sample",)

    folder.put("b.yml", handler("b", event="Other"))
    assert await until(lambda: watched.catalog.events == ("Other", "Sample")) < 1
    assert watched.faults == ()


async def test_a_file_put_in_place_by_a_rename_is_seen(watched: Live, folder: Folder) -> None:
    folder.put(".draft", handler("b", event="Other")).rename(folder.path / "b.yml")

    assert await until(lambda: "Other" in watched.catalog.events) < 1


async def test_goes_on_watching_a_folder_that_went_and_came(watched: Live, folder: Folder) -> None:
    away = folder.path.with_name("elsewhere")
    folder.path.rename(away)
    await until(lambda: watched.faults)
    away.rename(folder.path)
    await until(lambda: not watched.faults)
    folder.put("b.yml", handler("b", event="Other"))

    await until(lambda: "Other" in watched.catalog.events)


async def test_reads_many_changes_at_once_as_one(
    watched: Live, folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for n in range(20):
        folder.put(f"n{n}.yml", handler(f"n{n}", event=f"E{n}"))
    await until(lambda: len(watched.catalog.events) == 21)

    taken = [one for one in caplog.records if vars(one).get("action") == "plugins_loaded"]
    assert len(taken) <= 3


async def test_says_what_is_in_force_and_what_is_wrong(live: Live, folder: Folder) -> None:
    bad = folder.put("b.yml", "x: 1\n")
    await live.reload()
    said = json.loads(json.dumps(describe(live)))

    assert said["plugins"] == [{"file": f"{folder.path}/a.yml", "kind": "Lambda", "name": "a"}]
    assert said["events"] == ["Sample"]
    assert said["fingerprint"] == live.catalog.fingerprint
    assert [(one["file"], one["line"], one["column"]) for one in said["faults"]] == [
        (str(bad), 1, 1)
    ]


async def test_warnings_are_logged_once_and_shown_and_stop_nothing(
    folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    gate = "APIGW.OnFileUploading"
    bad = folder.put("a.yml", handler("a", gate, "return 401"))
    live = Live(folder.loader)
    folder.put("b.yml", handler("b", gate, "return handle.terminate(302)"))
    assert await live.reload()
    upper = folder.put("GATE.YML", handler("c", gate))
    assert await live.reload()

    warned = [one for one in caplog.records if vars(one).get("action") == "plugin_warning"]
    assert [(vars(one)["rule"], vars(one)["file"]) for one in warned] == [
        ("gate-return-value", str(bad)),
        ("file-ignored", str(upper)),
    ]
    assert live.catalog.events == (gate,)
    said = json.loads(json.dumps(describe(live)))["warnings"]
    assert [(one["file"], one["line"], one["column"], one["rule"]) for one in said] == [
        (str(upper), 1, 1, "file-ignored"),
        (str(bad), 5, 7, "gate-return-value"),
    ]

    folder.put("a.yml", handler("a", gate))
    upper.unlink()
    assert await live.reload()
    assert describe(live)["warnings"] == []
