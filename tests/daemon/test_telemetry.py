"""The numbers on /metrics: each is described, and every adapter takes every call."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import alphapulse
from alphapulse.adapters.telemetry.metrics import METRICS
from alphapulse.adapters.telemetry.none import NoTelemetry
from alphapulse.adapters.telemetry.prometheus import PrometheusTelemetry
from alphapulse.ports.telemetry import Telemetry

KINDS = {"count": "counter", "gauge": "gauge", "observe": "histogram"}


def calls() -> Iterator[tuple[str, str, str, set[str]]]:
    """Where, verb, name and labels of every call of the telemetry port in the code."""
    package = Path(alphapulse.__file__).parent
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in KINDS):
                continue
            owner = ast.unparse(node.func.value)
            if owner.endswith("telemetry") and node.args and isinstance(node.args[0], ast.Constant):
                labels = {keyword.arg or "" for keyword in node.keywords} - {"by", "value", "seconds"}
                yield f"{path.name}:{node.lineno}", node.func.attr, str(node.args[0].value), labels


def test_every_number_that_the_code_counts_is_in_the_table_with_its_labels() -> None:
    found = list(calls())
    assert found
    for where, verb, name, labels in found:
        assert name in METRICS, f"{where}: describe {name} in adapters/telemetry/metrics.py"
        assert METRICS[name].kind == KINDS[verb], where
        assert set(METRICS[name].labels) == labels, where


def test_every_metric_of_the_table_is_counted_somewhere() -> None:
    assert {name for _, _, name, _ in calls()} == set(METRICS)


@pytest.mark.parametrize("make", [NoTelemetry, PrometheusTelemetry])
def test_every_adapter_takes_every_call_and_renders(make: type[Telemetry]) -> None:
    telemetry = make()
    telemetry.count("orders_total", status="filled")
    telemetry.count("jobs_recovered_total", 2)
    telemetry.gauge("stream_connections", 3)
    telemetry.observe("job_seconds", 0.2, name="cycle")
    telemetry.count("a_number_that_nobody_described")
    body, kind = telemetry.render()
    assert isinstance(body, bytes)
    assert kind.startswith("text/plain")


def test_prometheus_renders_what_was_counted() -> None:
    telemetry = PrometheusTelemetry()
    telemetry.count("orders_total", status="filled")
    telemetry.count("orders_total", 2, status="filled")
    telemetry.gauge("stream_connections", 3)
    telemetry.observe("job_seconds", 0.2, name="cycle")
    text = telemetry.render()[0].decode()
    assert 'alphapulse_orders_total{status="filled"} 3.0' in text
    assert "alphapulse_stream_connections 3.0" in text
    assert 'alphapulse_job_seconds_bucket{le="0.25",name="cycle"} 1.0' in text
    assert "alphapulse_process_resident_memory_bytes" in text


def test_two_registries_do_not_mix() -> None:
    first, second = PrometheusTelemetry(), PrometheusTelemetry()
    first.gauge("stream_connections", 3)
    assert "alphapulse_stream_connections 0.0" in second.render()[0].decode()
