"""The registry of stores, event logs and transports: a URL scheme for each."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qmonus_lite.compose.registry import (
    DEFAULT_EVENT_LOG,
    DEFAULT_STORE,
    EVENT_LOGS,
    STORES,
    TRANSPORTS,
    EventLogContext,
    StoreContext,
    TransportContext,
    TransportKind,
    event_log_kind,
    store_kind,
    transport_kind,
)
from qmonus_lite.errors import BadResource, BadSetting
from qmonus_lite.event_logs.sqlite.event_log import SqliteEventLog
from qmonus_lite.settings.storage import StorageSettings
from qmonus_lite.settings.table import Settings
from qmonus_lite.settings.workers import WorkerSettings
from qmonus_lite.stores.file.store import FileStore
from qmonus_lite.transports.http.connections import HttpWorkerConnections
from qmonus_lite.transports.http.signature import Signer


def settings(base_dir: Path) -> Settings:
    return Settings(storage=StorageSettings(base_dir=base_dir))


def test_the_default_is_a_store_of_files_below_the_launch_directory(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as threads:
        context = StoreContext(data_dir=tmp_path, threads=threads)
        store = store_kind(DEFAULT_STORE).make(settings(tmp_path), context)

    assert isinstance(store, FileStore)
    assert store.location(("upload", "a")) == str(tmp_path / "upload" / "a")


@pytest.mark.parametrize("url", ["", "file", "s3://bucket/prefix", "C:/x"])
def test_a_scheme_without_a_store_is_refused_with_those_that_there_are(url: str) -> None:
    with pytest.raises(BadSetting, match=f"there are: {', '.join(STORES)}"):
        store_kind(url)


def test_the_default_event_log_is_made_in_the_data_directory_and_opened_there(
    tmp_path: Path,
) -> None:
    kind, given = event_log_kind(DEFAULT_EVENT_LOG), settings(tmp_path)
    with pytest.raises(BadResource, match="no outbox here"):
        kind.open(given)
    given.storage.state_dir.mkdir()
    made = kind.make(given, EventLogContext(data_dir=given.storage.state_dir, gateway="g"))
    made.close()
    opened = kind.open(given)
    opened.close()

    assert isinstance(opened, SqliteEventLog)


@pytest.mark.parametrize("url", ["", "sqlite", "nats://host/stream"])
def test_a_scheme_without_an_event_log_is_refused_with_those_that_there_are(url: str) -> None:
    with pytest.raises(BadSetting, match=f"there are: {', '.join(EVENT_LOGS)}"):
        event_log_kind(url)


def test_a_launch_directory_that_is_not_there_is_refused_before_anything_is_made(
    tmp_path: Path,
) -> None:
    with pytest.raises(BadResource, match="no such directory"):
        store_kind(DEFAULT_STORE).check(settings(tmp_path / "missing"))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("endpoints", [(), ("http://a:1", "https://b:2")])
def test_http_endpoints_are_reached_by_signed_http(
    tmp_path: Path, endpoints: tuple[str, ...]
) -> None:
    workers = WorkerSettings(lambda_endpoints=endpoints)
    given = Settings(storage=StorageSettings(base_dir=tmp_path), workers=workers)
    context = TransportContext(data_dir=tmp_path, signer=Signer(bytes(32)), environ={})
    connections = transport_kind(workers.endpoints).make(given, context)

    assert isinstance(connections, HttpWorkerConnections)
    followed = [worker.endpoint for worker in connections.registry.workers]
    assert followed == list(endpoints or ["http://127.0.0.1:9100"])


@pytest.mark.parametrize("url", ["", "127.0.0.1:9100", "nats://host"])
def test_a_scheme_without_a_transport_is_refused_with_those_that_there_are(url: str) -> None:
    with pytest.raises(BadSetting, match=f"there are: {', '.join(TRANSPORTS)}"):
        transport_kind(["http://a:1", url])


def test_workers_that_need_several_transports_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRANSPORTS, "nats", TransportKind(make=TRANSPORTS["http"].make))

    with pytest.raises(BadSetting, match="use one for all workers"):
        transport_kind(["http://a:1", "nats://b"])
