"""Table of docs/reference/metrics.md: every metric, from the definitions."""

from qmonus_lite.metrics.definitions import METRICS, Metric, MetricType
from reference_tables.markdown import code, table


def metrics() -> str:
    """Every metric."""
    return table(
        ("metric", "type", "labels", "what it says", "of"),
        (
            (
                code(metric.exposed_name),
                metric.kind.value,
                ", ".join(map(code, metric.labels)),
                metric.help + _buckets(metric),
                metric.source.value,
            )
            for metric in METRICS
        ),
    )


def _buckets(metric: Metric) -> str:
    if metric.kind is not MetricType.HISTOGRAM:
        return ""
    return f". Buckets up to {', '.join(f'{bound:g}' for bound in metric.buckets)} s"
