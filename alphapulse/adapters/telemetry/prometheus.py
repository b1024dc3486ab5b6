"""Numbers for a Prometheus scrape of /metrics. One process, one registry of its own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.process_collector import ProcessCollector

from alphapulse.adapters.telemetry.metrics import METRICS, Metric

_PREFIX = "alphapulse"
#: From what a cached answer takes to what a replay's bar batch takes, seconds.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

Collector = Counter | Gauge | Histogram


class PrometheusTelemetry:
    """See ports/telemetry.py."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(namespace=_PREFIX, registry=self._registry)
        self._collectors = {name: self._make(metric) for name, metric in METRICS.items()}
        self._children: dict[tuple[str, tuple[tuple[str, str], ...]], Collector] = {}

    def count(self, name: str, /, by: float = 1, **labels: str) -> None:
        child = self._child(name, labels)
        if isinstance(child, Counter):
            child.inc(by)

    def gauge(self, name: str, /, value: float, **labels: str) -> None:
        child = self._child(name, labels)
        if isinstance(child, Gauge):
            child.set(value)

    def observe(self, name: str, /, seconds: float, **labels: str) -> None:
        child = self._child(name, labels)
        if isinstance(child, Histogram):
            child.observe(seconds)

    def render(self) -> tuple[bytes, str]:
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4

    def _child(self, name: str, labels: dict[str, str]) -> Collector | None:
        """The series of these labels; looked up once, since the library's own look-up takes a lock and sorts.

        None for a metric that is not in the table: a number that nobody described must not stop a trade.
        """
        key = (name, tuple(labels.items()))
        found = self._children.get(key)
        if found is None:
            metric = METRICS.get(name)
            if metric is None or set(labels) != set(metric.labels):
                return None
            collector = self._collectors[name]
            if not labels:
                return collector
            found = self._children[key] = collector.labels(**labels)
        return found

    def _make(self, metric: Metric) -> Collector:
        match metric.kind:
            case "counter":
                return Counter(metric.name, metric.meaning, metric.labels, namespace=_PREFIX, registry=self._registry)
            case "gauge":
                return Gauge(metric.name, metric.meaning, metric.labels, namespace=_PREFIX, registry=self._registry)
            case "histogram":
                return Histogram(
                    metric.name,
                    metric.meaning,
                    metric.labels,
                    namespace=_PREFIX,
                    registry=self._registry,
                    buckets=_BUCKETS,
                )
