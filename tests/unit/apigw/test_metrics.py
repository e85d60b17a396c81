"""`/-/metrics` answers with what can be known, and says if nothing is counted."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from qmonus_lite.apigw.admin.metrics import MetricsResource, worker_states
from qmonus_lite.clock import Clock
from qmonus_lite.errors import InternalFault, NotFound
from qmonus_lite.events.known_handlers import KnownHandlers
from qmonus_lite.events.report_file import State, StoredReport
from qmonus_lite.headers import Headers
from qmonus_lite.metrics.directory import MetricsDirectory


class Commits:
    """An outbox with one dead letter, or one that fails."""

    def __init__(self, *, fails: bool = False) -> None:
        self._fails = fails

    async def counts(self) -> dict[str, int]:
        if self._fails:
            raise InternalFault("the writer process is gone")
        return {"dead": 1}

    async def oldest(self) -> float | None:
        return 0.0


async def scrape(path: Path | None, commits: Commits) -> str:
    with ThreadPoolExecutor(1) as thread:
        resource = MetricsResource(
            directory=None if path is None else MetricsDirectory(path),
            commits=commits,  # type: ignore[arg-type]
            registry=SimpleNamespace(known=KnownHandlers()),
            clock=Clock("UTC"),
            unready=lambda: "stopping",
            watched={"base_dir": Path("/"), "data_dir": Path("/nowhere")},
            min_free_bytes=5,
            thread=thread,
        )
        request: Any = SimpleNamespace(headers=Headers())
        response = await resource.get(request, request, {})
    assert isinstance(response.body, bytes)
    return response.body.decode()


async def test_tells_of_the_installation(tmp_path: Path) -> None:
    text = await scrape(tmp_path, Commits())

    assert 'qmonus_lite_events{state="dead"} 1.0' in text
    assert "qmonus_lite_ready 0.0" in text
    assert "qmonus_lite_min_free_bytes 5.0" in text
    assert 'qmonus_lite_free_bytes{directory="base_dir"}' in text
    assert 'directory="data_dir"' not in text


async def test_leaves_out_the_events_while_the_outbox_cannot_be_asked(tmp_path: Path) -> None:
    text = await scrape(tmp_path, Commits(fails=True))

    assert "qmonus_lite_events{" not in text
    assert "qmonus_lite_ready 0.0" in text


async def test_is_not_found_if_nothing_is_counted() -> None:
    with pytest.raises(NotFound, match="--metrics=off"):
        await scrape(None, Commits())


def test_counts_the_workers_by_state() -> None:
    def report(endpoint: str, state: State, *, dropped: bool = False) -> StoredReport:
        return StoredReport(
            endpoint=endpoint,
            handles=frozenset(),
            generation="",
            heard_at=0,
            state=state,
            since=0,
            dropped=dropped,
        )

    known = KnownHandlers(
        live=("a",),
        reports=(
            report("a", State.LIVE),
            report("b", State.AWAY),
            report("c", State.STOPPED),
            report("d", State.AWAY, dropped=True),
        ),
        never_reported=("e", "f"),
    )

    assert worker_states(known) == {
        ("up",): 1,
        ("away",): 1,
        ("stopped",): 1,
        ("unknown",): 2,
    }
