"""Metrics equal what was done, also by two gateways and after kills; Prometheus reads them."""

import asyncio
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from qmonus_lite.metrics import definitions
from qmonus_lite.metrics.directory import MetricsDirectory
from qmonus_lite.metrics.exposition import expose
from qmonus_lite.metrics.families import Counter, Histogram
from qmonus_lite.serving import tune_interpreter
from tests.acceptance import prometheus
from tests.acceptance.harness import UPLOADED, Installation
from tests.acceptance.process import Running, until
from tests.acceptance.prometheus import Prometheus, dashboard_queries, promtool

GATE = """\
name: gate
event: APIGW.OnFileUploading
script: |-
  async def gate(event, handle):
      if "refused" in event["path"]:
          await handle.terminate(code=403)
      if "raised" in event["path"]:
          raise KeyError("x")
"""
ROLE = "- name: metrics\n  authorities:\n  - {regex: /-/metrics$, methods: [GET]}\n"
#: Values of samples by label values.
Expected = dict[tuple[str, ...], float]


def once(rounds: int) -> Expected:
    """Uploads by outcome, code and plugin after so many calls of `use`."""
    return {
        ("stored", "", ""): 3 * rounds,
        ("refused", "plugin", "gate"): 2 * rounds,
        ("failed", "plugin", "gate"): rounds,
        ("refused", "invalid-digest", ""): rounds,
        ("cut", "", ""): rounds,
    }


class Scrape:
    """One answer of `/-/metrics`."""

    def __init__(self, installation: Installation) -> None:
        self.text = installation.curl("/-/metrics", token=installation.token).text
        self.families = {family.name: family for family in parse(self.text)}

    def values(self, sample: str, *labels: str) -> Expected:
        """The values of the samples of a name, by the values of these labels."""
        return {
            tuple(found.labels[name] for name in labels): found.value
            for family in self.families.values()
            for found in family.samples
            if found.name == f"qmonus_lite_{sample}"
        }


def use(installation: Installation, name: str) -> None:
    """Have one upload or more of every outcome."""
    file, token = installation.file("f", b"content"), installation.token
    uploads = [(201, "stored1"), (201, "stored2"), (201, "stored3")]
    uploads += [(403, "refused1"), (403, "refused2"), (500, "raised")]
    for status, path in uploads:
        assert installation.upload(file, f"/upload/{name}-{path}", token=token).status == status
    wrong = ("-H", "Content-Digest: sha-256=x")
    assert installation.upload(file, f"/upload/{name}-digest", *wrong, token=token).status == 400
    with socket.create_connection(("127.0.0.1", installation.port)) as client:
        head = f"PUT /upload/{name}-cut HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
        client.sendall(f"{head}X-Auth-Token: {token}\r\n\r\nabc".encode())
        time.sleep(0.2)


def check_counts(installation: Installation, rounds: int) -> None:
    """Whether all families that the rounds touched have exactly their numbers."""

    def same() -> bool:
        scrape = Scrape(installation)
        scripts = scrape.values("script_runs_total", "plugin", "outcome")
        recorder = f"a-recorder-of-{UPLOADED}"
        return (
            scrape.values("uploads_total", "outcome", "code", "plugin") == once(rounds)
            and scrape.values("delivery_seconds_count", "outcome") == {("delivered",): 3 * rounds}
            and scripts
            == {
                # `terminate` lets a handler go on; the upload that was cut was asked about too.
                ("gate", "returned"): 6 * rounds,
                ("gate", "failed"): rounds,
                (recorder, "returned"): 3 * rounds,
            }
            and scrape.values("upload_bytes_total")[()] == (3 * 7 + 3) * rounds
            and scrape.values("events", "state")[("delivered",)] == 3 * rounds
        )

    until(same, report=lambda: Scrape(installation).text + installation.log)


def kill(installation: Installation, running: Running, *names: str) -> None:
    """Kill one process of each command, and wait until others serve in their place."""
    killed = [running.children[name] for name in names]
    for pid in killed:
        os.kill(pid, signal.SIGKILL)

    def replaced() -> bool:
        children = running.children
        return not set(killed) & set(children.values()) and installation.ready

    until(lambda: not installation.ready or replaced())
    until(replaced, report=lambda: installation.log)


def start(installation: Installation, *flags: str) -> Running:
    installation.plugin("gate.yml", GATE)
    installation.record(UPLOADED)
    return installation.up(*flags)


@pytest.fixture(scope="module")
def shared_up(shared: Installation) -> Running:
    """One gateway, for the tests after which it serves as before."""
    return start(shared)


def check_over_kills(installation: Installation, running: Running, names: set[str]) -> None:
    """Have every outcome, kill processes, have every outcome again: the numbers are right."""
    use(installation, "a")
    check_counts(installation, 1)
    names = {*names, f"lambda-{installation.lambda_port}"}
    found = Scrape(installation).values("process_open_fds", "process")
    assert set(found) == {(name,) for name in names}

    kill(installation, running, "apigw", "lambda")
    use(installation, "b")
    check_counts(installation, 2)
    scrape = Scrape(installation)
    assert len(scrape.values("plugin_set_info", "set")) == 1
    active = scrape.values("uploads_active", "state")
    assert active == {("receiving",): 0, ("committing",): 0, ("suspended",): 0}
    assert scrape.values("workers", "state")["up",] == 1
    assert scrape.values("ready") == {(): 1}


def test_metrics_of_two_gateways_equal_what_was_done_also_after_kills(
    installation: Installation,
) -> None:
    running = start(installation, "--apigw_processes=2")
    check_over_kills(installation, running, {"apigw-0", "apigw-1", "writer"})


def test_metrics_of_one_gateway_equal_what_was_done_also_after_kills(
    shared: Installation, shared_up: Running
) -> None:
    check_over_kills(shared, shared_up, {"apigw"})


@prometheus.needed
def test_prometheus_reads_the_metrics_and_answers_the_dashboard(
    shared: Installation, shared_up: Running, tmp_path: Path
) -> None:
    use(shared, "p")
    shared.plugin("role.yml", ROLE)
    key = shared.account("prometheus", "metrics")
    given = ("-u", f"prometheus:{key}")
    until(lambda: shared.curl("/-/metrics", *given).status == 200, report=lambda: shared.log)
    assert shared.curl("/-/plugins", *given).status == 403
    assert shared.curl("/-/metrics").status == 401
    promtool("check", "metrics", stdin=Scrape(shared).text)
    server = Prometheus(shared, key, tmp_path / "prometheus")
    try:
        until(lambda: server.query("qmonus_lite_ready"), report=lambda: server.process.stderr)
        unanswered = dashboard_queries()
        assert len(unanswered) > 30

        def answered() -> bool:
            unanswered[:] = [query for query in unanswered if not server.query(query)]
            return not unanswered

        until(answered, report=lambda: unanswered)
        [group] = server.api("rules")["groups"]
        assert len(group["rules"]) >= 8
        assert {rule["health"] for rule in group["rules"]} == {"ok"}
    finally:
        server.process.end()


@prometheus.needed
def test_promtool_finds_nothing_wrong_with_the_alerts() -> None:
    promtool("check", "rules", "alerts.yml")
    promtool("test", "rules", "alerts_test.yml")


@pytest.fixture
def as_in_a_server() -> Iterator[None]:
    """Threads take turns and memory is collected as in a server."""
    before = sys.getswitchinterval(), gc.get_threshold()
    tune_interpreter()
    yield
    sys.setswitchinterval(before[0])
    gc.set_threshold(*before[1])
    gc.unfreeze()


@pytest.mark.serial
async def test_a_scrape_with_a_thousand_plugins_leaves_the_event_loop_to_others(
    tmp_path: Path, as_in_a_server: None
) -> None:
    directory = MetricsDirectory(tmp_path)
    slots = directory.begin("lambda-9100")
    scripts, seconds = (
        Counter(definitions.SCRIPTS, slots),
        Histogram(definitions.SCRIPT_SECONDS, slots),
    )
    for number in range(definitions.MAX_PLUGINS):
        for outcome in ("returned", "failed"):
            scripts.add((f"plugin-{number}", outcome))
        seconds.observe((f"plugin-{number}",), 0.02)
    loop, late = asyncio.get_running_loop(), 0.0
    with ThreadPoolExecutor(1) as thread:
        for _ in range(3):
            scrape = loop.run_in_executor(thread, expose, directory, {}, "")
            while not scrape.done():
                due = loop.time() + 0.001
                await asyncio.sleep(0.001)
                late = max(late, loop.time() - due)
            assert (await scrape)[0].count(b"\n") > 10 * definitions.MAX_PLUGINS

    assert late <= 0.02
