"""The answer to a scrape, read as Prometheus reads it."""

from pathlib import Path
from typing import Any

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from qmonus_lite.metrics import definitions
from qmonus_lite.metrics.definitions import METRICS
from qmonus_lite.metrics.directory import MetricsDirectory
from qmonus_lite.metrics.exposition import MEDIA_TYPES, Scraped, expose
from qmonus_lite.metrics.families import Counter, Histogram
from qmonus_lite.metrics.process import set_name, set_number

SCRAPED: Scraped = {definitions.READY.name: {(): 1.0}, definitions.BUILD.name: {("1", "3"): 1.0}}


def counted(path: Path) -> MetricsDirectory:
    """The metrics of a process that has counted some."""
    directory = MetricsDirectory(path)
    slots = directory.begin("apigw")
    Counter(definitions.SCRIPTS, slots).add(('a "plugin"\\', "returned"))
    Histogram(definitions.FSYNC_SECONDS, slots).observe(("file",), 0.003)
    Histogram(definitions.FSYNC_SECONDS, slots).observe(("directory",), 30.0)
    Counter(definitions.UPLOADS_ACTIVE, slots).set(("receiving",), 2.0)
    Counter(definitions.PLUGIN_SET, slots).set((), set_number("0a1b2c3d4e5f" + "0" * 52))
    return directory


def samples(families: Any) -> dict[str, Any]:
    return {
        sample.name.removeprefix("qmonus_lite_") + str(sorted(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_is_text_that_prometheus_reads(tmp_path: Path) -> None:
    body, media_type = expose(counted(tmp_path), SCRAPED, "")
    found = samples(text_string_to_metric_families(body.decode()))

    assert media_type.partition(";")[0] == MEDIA_TYPES[0]
    assert found["script_runs_total" + str(sorted(['a "plugin"\\', "returned"]))] == 1
    assert found["fsync_seconds_bucket['0.0025', 'file']"] == 0
    assert found["fsync_seconds_bucket['0.005', 'file']"] == 1
    assert found["fsync_seconds_bucket['5.0', 'directory']"] == 0
    assert found["fsync_seconds_bucket['+Inf', 'directory']"] == 1
    assert found["fsync_seconds_sum['directory']"] == 30
    assert found["uploads_active['receiving']"] == 2
    assert found["plugin_set_info['0a1b2c3d4e5f', 'apigw']"] == 1
    assert found["ready[]"] == found["build_info['1', '3']"] == 1
    assert found["process_open_fds['apigw']"] > 3
    assert found["process_start_time_seconds['apigw']"] > 1.7e9


def test_is_openmetrics_if_that_is_asked_for(tmp_path: Path) -> None:
    body, media_type = expose(
        counted(tmp_path), SCRAPED, "application/openmetrics-text; version=1.0.0"
    )
    families = list(openmetrics.text_string_to_metric_families(body.decode()))  # type: ignore[no-untyped-call]

    assert media_type.partition(";")[0] == MEDIA_TYPES[1]
    assert len(families) == len(METRICS)
    assert samples(families)["fsync_seconds_bucket['0.005', 'file']"] == 1


def test_the_name_of_a_plugin_set_survives_as_a_number() -> None:
    for name in ("000000000000", "0a1b2c3d4e5f", "ffffffffffff"):
        assert set_name(set_number(name + "5" * 52)) == name
