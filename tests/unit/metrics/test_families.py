"""Counters and histograms: exact under threads, bounded in their labels."""

from concurrent.futures import ThreadPoolExecutor

from qmonus_lite.metrics import definitions
from qmonus_lite.metrics.definitions import MAX_CODES, MAX_EVENTS, MAX_PLUGINS, METRICS, MetricType
from qmonus_lite.metrics.families import Counter, Histogram
from qmonus_lite.metrics.slots import Slots


def test_no_count_of_any_thread_is_lost() -> None:
    slots = Slots()
    counter = Counter(definitions.UPLOAD_BYTES, slots)
    histogram = Histogram(definitions.FSYNC_SECONDS, slots)

    def count(_: int) -> None:
        for _ in range(5000):
            counter.add(())
            histogram.observe(("file",), 0.5)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(count, range(8)))

    first = histogram["file",]
    buckets = list(slots.values[first : first + definitions.FSYNC_SECONDS.width])
    assert slots.values[counter[()]] == 40_000
    assert sum(buckets[:-1]) == 40_000
    assert buckets[-1] == 20_000


def test_a_bucket_has_what_is_at_most_its_bound() -> None:
    slots = Slots()
    histogram = Histogram(definitions.SCRIPT_SECONDS, slots)
    for seconds in (0.0, 0.01, 0.011, 60.0, 61.0):
        histogram.observe(("p",), seconds)

    first = histogram["p",]
    assert list(slots.values[first : first + 6]) == [2, 1, 0, 0, 1, 1]


def test_values_beyond_the_bound_of_a_label_are_counted_as_other() -> None:
    slots = Slots()
    counter = Counter(definitions.SCRIPTS, slots)
    for number in range(MAX_PLUGINS + 50):
        counter.add((f"p{number}", "returned"))
    counter.add(("p0", "failed"))

    assert len(counter) == MAX_PLUGINS + 2
    assert slots.values[counter["other", "returned"]] == 50
    assert slots.values[counter["p0", "failed"]] == 1


def test_label_values_cannot_break_the_table() -> None:
    slots = Slots()
    counter = Counter(definitions.SCRIPTS, slots)
    counter.add(("a\tb\nc\x1fd", "returned"))

    assert slots.values[counter["a\tb\nc\x1fd", "returned"]] == 1


def test_all_label_values_together_find_slots() -> None:
    slots = Slots()
    outcomes = ("returned", "terminated", "failed", "timed_out", "cancelled", "not_run")
    names = [f"{number:04}".rjust(60, "p") for number in range(MAX_PLUGINS)]
    scripts, seconds = (
        Counter(definitions.SCRIPTS, slots),
        Histogram(definitions.SCRIPT_SECONDS, slots),
    )
    uploads = Counter(definitions.UPLOADS, slots)
    questions = Histogram(definitions.QUESTION_SECONDS, slots)
    for name in names:
        seconds.observe((name,), 1.0)
        for outcome in outcomes:
            scripts.add((name, outcome))
        for outcome in ("refused", "failed"):
            uploads.add((outcome, "plugin", name))
    for number in range(MAX_CODES):
        uploads.add(("refused", f"code-{number}", ""))
    for number in range(MAX_EVENTS):
        for outcome in ("allowed", "refused", "failed"):
            questions.observe((f"event{number}", outcome), 1.0)

    firsts = [
        first for family in (scripts, seconds, uploads, questions) for first in family.values()
    ]
    assert len(set(firsts)) == len(firsts)


def test_names_follow_the_conventions_of_prometheus() -> None:
    for metric in METRICS:
        assert metric.exposed_name.startswith("qmonus_lite_")
        assert metric.exposed_name.endswith("_total") == (metric.kind is MetricType.COUNTER)
        if metric.kind is MetricType.HISTOGRAM:
            assert metric.name.endswith("_seconds")
            assert metric.buckets == tuple(sorted(metric.buckets))
    assert len({metric.name for metric in METRICS}) == len(METRICS)
