"""The inbox: what was handled well is not handled again."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from qmonus_lite.clock import Clock
from qmonus_lite.events import inbox as inbox_module
from qmonus_lite.events.inbox import Inbox
from qmonus_lite.events.outcome import Outcome
from tests.upgrade.old_format import write_inbox

OUTCOME = Outcome(code=202, output={"名": 1}, event={"big": "x"}, handlers=("a", "b"))


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    inbox = Inbox(tmp_path / "inbox.sqlite3", Clock("UTC"))
    yield inbox
    inbox.close()


async def test_remembers_how_an_event_ended_and_not_the_event(inbox: Inbox) -> None:
    inbox.remember("e1", OUTCOME)
    found = await inbox.find("e1")

    assert found == Outcome(code=202, output={"名": 1}, event={}, handlers=("a", "b"))
    assert await inbox.find("e2") is None


async def test_several_workers_share_it(inbox: Inbox, tmp_path: Path) -> None:
    other = Inbox(tmp_path / "inbox.sqlite3", Clock("UTC"))
    inbox.remember("e1", OUTCOME)
    await inbox.find("e1")

    assert await other.find("e1") is not None
    other.remember("e1", OUTCOME)
    other.close()


async def test_forgets_what_is_old(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox.remember("e1", OUTCOME)
    monkeypatch.setattr(inbox_module, "RETENTION_SECONDS", -1.0)
    forgetting = asyncio.create_task(inbox.forget())
    while await inbox.find("e1") is not None:
        await asyncio.sleep(0.01)
    forgetting.cancel()
    await asyncio.gather(forgetting, return_exceptions=True)

    inbox.remember("e2", OUTCOME)
    assert await inbox.find("e2") is not None


async def test_forgets_the_oldest_when_there_are_too_many(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "MAX_ROWS", 2)
    for n in range(5):
        inbox.remember(f"e{n}", OUTCOME)
    forgetting = asyncio.create_task(inbox.forget())
    while await inbox.find("e0") is not None:
        await asyncio.sleep(0.01)
    forgetting.cancel()
    await asyncio.gather(forgetting, return_exceptions=True)

    assert [await inbox.find(f"e{n}") is not None for n in range(5)] == [False] * 3 + [True] * 2


async def test_an_inbox_of_version_0_1_still_tells_what_was_handled(tmp_path: Path) -> None:
    place = tmp_path / "inbox.sqlite3"
    outcome = {"code": 200, "output": None, "event": dict[str, str](), "handlers": ["a"]}
    write_inbox(place, [("e1", 5.0, json.dumps(outcome))])
    inbox = Inbox(place, Clock("UTC"))
    found = await inbox.find("e1")
    inbox.close()

    assert found == Outcome(code=200, output=None, event={}, handlers=("a",))
