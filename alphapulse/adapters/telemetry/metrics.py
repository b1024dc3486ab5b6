"""Every number that the daemon exposes; the reference is made from this table. What is not here is not kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """labels: few, and never an id of a tenant, fund or order: each value is a series that is kept for good."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()


#: By the name that the code uses; scraped names have ``alphapulse_`` in front.
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "http_request_seconds",
            "histogram",
            "Time from a request's arrival until its answer was sent.",
            ("method", "route", "status"),
        ),
        Metric("orders_total", "counter", "Orders that reached a state, by the state.", ("status",)),
        Metric("cycle_seconds", "histogram", "Time that one fund took at one closed bar."),
        Metric("stream_connections", "gauge", "Clients connected to /ws."),
        Metric("jobs_total", "counter", "Attempts at jobs, by how they ended.", ("name", "outcome")),
        Metric("job_seconds", "histogram", "Time that a job took.", ("name",)),
        Metric("jobs_recovered_total", "counter", "Jobs taken over from workers that died."),
        Metric("signals_computed_total", "counter", "Evaluations that agents made.", ("agent",)),
        Metric("backup_made_timestamp", "gauge", "When the newest backup was made, seconds since 1970."),
        Metric("backup_bytes", "gauge", "Size of the newest backup."),
        Metric("backup_problems", "gauge", "Differences that the last trial of a restore found."),
        Metric("mails_total", "counter", "Attempts to hand over a mail, by how they ended.", ("template", "outcome")),
        Metric("cache_requests_total", "counter", "Looks into the cache, by what they found.", ("scope", "outcome")),
        Metric("cache_evictions_total", "counter", "Entries dropped from the cache for want of room.", ("scope",)),
        Metric("limited_total", "counter", "Requests refused by a rate limit, by their kind.", ("kind",)),
        Metric("limits_local_total", "counter", "Requests judged without the shared counts, by their kind.", ("kind",)),
        Metric("fund_cycles_total", "counter", "Funds run at a closed bar, by how it ended.", ("outcome",)),
    )
}
