"""The one mutable cell: swapped whole, or kept."""

import asyncio
import contextlib
import json
import logging
import os
import resource
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from qmonus_lite.apigw.json_values import json_value
from qmonus_lite.catalog import live as live_module
from qmonus_lite.catalog.live import Live, describe
from qmonus_lite.catalog.plugins import Catalog
from qmonus_lite.errors import BadPlugins
from tests.unit.catalog.plugin_folder import Folder, handler


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


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Nothing more can be opened in this process: EMFILE."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def actions(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [vars(record)["action"] for record in caplog.records]


def test_a_start_with_faults_is_refused(folder: Folder) -> None:
    folder.put("a.yml", "x: 1\n")

    with pytest.raises(BadPlugins):
        Live(folder.loader)


async def test_takes_over_a_sound_change_and_notifies_listeners(live: Live, folder: Folder) -> None:
    notified: list[Catalog] = []
    live.on_change(notified.append)
    before = live.catalog
    folder.put("b.yml", handler("b", event="Other"))

    assert await live.reload()
    assert live.catalog.events == ("Other", "Sample")
    assert notified == [live.catalog]
    assert before.events == ("Sample",)


async def test_a_requested_reload_puts_an_unchanged_set_in_force_once(live: Live) -> None:
    notified: list[Catalog] = []
    live.on_change(notified.append)
    live.request_reload()
    for _ in range(2):
        assert await live.reload()

    assert notified == [live.catalog]


async def test_a_fault_anywhere_changes_nothing(
    live: Live, folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    notified: list[Catalog] = []
    live.on_change(notified.append)
    before = live.catalog
    folder.put("b.yml", handler("b"))
    bad = folder.put("c.yml", handler("c", line="return josn"))

    assert not await live.reload()
    assert live.catalog is before
    assert notified == []
    assert [(fault.file, fault.line, fault.column) for fault in live.faults] == [(str(bad), 5, 14)]
    actions = [vars(record)["action"] for record in caplog.records]
    assert actions == ["plugin_fault", "plugins_kept"]
    assert f"{bad}:5:14: c.script: name 'josn'" in caplog.text


async def test_the_repaired_set_is_taken_over_completely(live: Live, folder: Folder) -> None:
    folder.put("b.yml", handler("b"))
    bad = folder.put("c.yml", "x: 1\n")
    await live.reload()
    bad.unlink()

    assert await live.reload()
    assert live.faults == ()
    assert [plugin.name for plugin in live.catalog.listed] == ["a", "b"]


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

    taken = [record for record in caplog.records if vars(record).get("action") == "plugins_loaded"]
    assert len(taken) <= 3


async def test_says_which_files_a_change_added_changed_and_removed(
    live: Live, folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for number in range(22):
        folder.put(f"n{number:02}.yml", handler(f"n{number}"))
    await live.reload()
    folder.put("a.yml", handler("a", line="return 2"))
    folder.put("b.yml", handler("b"))
    (folder.path / "n00.yml").unlink()
    await live.reload()
    live.request_reload()
    await live.reload()

    first, second, forced = (
        {
            key: value
            for key, value in vars(record).items()
            if key in {"added", "changed", "removed"}
        }
        for record in caplog.records
        if vars(record).get("action") == "plugins_loaded"
    )
    names = [f"{folder.path}/n{number:02}.yml" for number in range(20)]
    assert first == {"added": [*names, "2 others"]}
    assert second == {
        "added": [f"{folder.path}/b.yml"],
        "changed": [f"{folder.path}/a.yml"],
        "removed": [f"{folder.path}/n00.yml"],
    }
    assert forced == {}


async def test_says_what_is_in_force_and_what_is_wrong(live: Live, folder: Folder) -> None:
    bad = folder.put("b.yml", "x: 1\n")
    await live.reload()
    described = json.loads(json.dumps(json_value(describe(live))))

    assert described["plugins"] == [{"file": f"{folder.path}/a.yml", "kind": "Lambda", "name": "a"}]
    assert described["events"] == ["Sample"]
    assert described["fingerprint"] == live.catalog.fingerprint
    assert [(fault["file"], fault["line"], fault["column"]) for fault in described["faults"]] == [
        (str(bad), 1, 1)
    ]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "POLL_MS", 20)
    monkeypatch.setattr(live_module, "NOTIFICATION_RETRY_SECONDS", 0.2)
    monkeypatch.setattr(live_module, "MIN_DELAY_SECONDS", 0.05)


@pytest.fixture
async def watch(live: Live) -> AsyncIterator[Callable[[], None]]:
    """Begins to watch; ends with the test."""
    tasks: list[asyncio.Task[None]] = []
    yield lambda: tasks.append(asyncio.get_running_loop().create_task(live.watch()))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.usefixtures("impatient")
async def test_polls_where_change_notifications_are_missing_and_logs_the_reason_once(
    live: Live, folder: Folder, watch: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with no_descriptor_left():
        watch()
        await until(lambda: "plugins_polled" in actions(caplog))
        # Asked for again and again.
        await asyncio.sleep(0.5)
    assert actions(caplog).count("plugins_polled") == 1
    assert "watched by polling" in caplog.text and "os error 24" in caplog.text
    folder.put("b.yml", handler("b", event="Other"))
    await until(lambda: "Other" in live.catalog.events)

    await until(lambda: "plugins_watched" in actions(caplog))
    folder.put("c.yml", handler("c", event="Third"))
    await until(lambda: "Third" in live.catalog.events)


@pytest.mark.usefixtures("impatient")
async def test_logs_which_name_ended_the_change_notifications(
    live: Live, folder: Folder, watch: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    watch()
    await asyncio.sleep(0.2)
    folder.put("b.yml", handler("b", event="Other"))
    await until(lambda: "Other" in live.catalog.events)

    Path(os.fsdecode(os.fsencode(folder.path) + b"/caf\xe9.yml")).touch()

    await until(lambda: "plugins_polled" in actions(caplog))
    assert "caf" in caplog.text and "TaskGroup" not in caplog.text


@pytest.mark.usefixtures("impatient")
async def test_polls_after_the_watcher_broke_off(
    live: Live, folder: Folder, watch: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Panic(BaseException):
        """A panic in Rust is no Exception."""

    async def awatch(*_folders: object, **_more: object) -> AsyncIterator[set[object]]:
        yield set()
        raise Panic

    monkeypatch.setattr("watchfiles.awatch", awatch)
    watch()
    await asyncio.sleep(0.05)
    folder.put("b.yml", handler("b", event="Other"))

    await until(lambda: "Other" in live.catalog.events)


async def test_a_folder_that_cannot_be_listed_is_not_an_empty_one(
    live: Live, folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    before = live.catalog
    with no_descriptor_left():
        assert not await live.reload()

    assert live.catalog is before
    [fault] = live.faults
    assert str(fault) == f"{folder.path}:1:1: cannot be read: Too many open files"
    assert actions(caplog) == ["plugins_failed"]
    assert await live.reload()
    assert live.faults == ()


def test_a_start_with_a_folder_that_cannot_be_listed_is_refused(folder: Folder) -> None:
    with no_descriptor_left(), pytest.raises(BadPlugins, match="cannot be read: Too many open"):
        Live(folder.loader)


@pytest.mark.parametrize("error", [RecursionError("deep"), MemoryError(), RuntimeError("\udcff")])
async def test_an_unexpected_error_is_a_fault_that_is_logged_and_tried_again(
    live: Live,
    folder: Folder,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder.put("b.yml", handler("b", event="Other"))

    def fail() -> Catalog:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(folder.loader, "load", fail)
        broken.setattr(live_module, "MIN_DELAY_SECONDS", 2.0)
        assert not await live.reload()
        assert not await live.reload()
        assert not await live.reload()
    assert [type(error).__name__ in fault.message for fault in live.faults] == [True]
    assert actions(caplog) == ["plugins_failed"]
    json.dumps(json_value(describe(live)), ensure_ascii=False).encode()

    while not await live.reload():
        await asyncio.sleep(0.05)
    assert live.catalog.events == ("Other", "Sample") and live.faults == ()


async def test_a_listener_that_fails_keeps_the_others_from_nothing(
    live: Live, folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    notified: list[Catalog] = []

    def fail(_catalog: Catalog) -> None:
        raise ValueError("broken")

    live.on_change(fail)
    live.on_change(notified.append)
    folder.put("b.yml", handler("b", event="Other"))

    assert await live.reload()
    assert notified == [live.catalog]
    assert "listener_failed" in actions(caplog)


async def test_says_so_while_the_folders_cannot_be_looked_at(
    live: Live,
    folder: Folder,
    watch: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(live_module, "SCAN_TIMEOUT_SECONDS", 0.5)
    hangs = threading.Event()
    monkeypatch.setattr(folder.loader, "stamp", hangs.wait)
    assert live.unhealthy_reason is None
    watch()
    await until(lambda: live.unhealthy_reason and "plugins_unseen" in actions(caplog))

    hangs.set()
    await until(lambda: not live.unhealthy_reason)


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

    warned = [record for record in caplog.records if vars(record).get("action") == "plugin_warning"]
    assert [(vars(record)["rule"], vars(record)["file"]) for record in warned] == [
        ("gate-return-value", str(bad)),
        ("file-ignored", str(upper)),
    ]
    assert live.catalog.events == (gate,)
    described = json.loads(json.dumps(json_value(describe(live))))["warnings"]
    assert [
        (warning["file"], warning["line"], warning["column"], warning["rule"])
        for warning in described
    ] == [
        (str(upper), 1, 1, "file-ignored"),
        (str(bad), 5, 7, "gate-return-value"),
    ]

    folder.put("a.yml", handler("a", gate))
    upper.unlink()
    assert await live.reload()
    assert describe(live).warnings == ()


@pytest.mark.parametrize("mark", ["#", "# ", "  #"])
async def test_a_file_that_is_commented_out_is_off_and_the_log_says_so(
    live: Live, folder: Folder, caplog: pytest.LogCaptureFixture, mark: str
) -> None:
    caplog.set_level(logging.INFO)
    path = folder.path / "a.yml"
    text = path.read_text()
    path.write_text("".join(f"{mark}{row}" for row in text.splitlines(keepends=True)) + "\n")

    assert await live.reload()
    assert (live.faults, live.catalog.lambdas) == ((), {})
    assert describe(live).commented_out == (str(path),)
    assert f"plugins: {path} is commented out: off" in caplog.text

    caplog.clear()
    folder.put("b.yml", handler("b"))
    assert await live.reload()
    assert "commented out" not in caplog.text

    path.write_text(text)
    assert await live.reload()
    assert set(live.catalog.lambdas) == {"Sample"}
    assert len(live.catalog.lambdas["Sample"]) == 2
