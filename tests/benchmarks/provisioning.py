"""How long a tenant takes, from the request until its first admin is invited and everything is checked."""

from __future__ import annotations

import time
from statistics import median

from alphapulse.client.api import Client
from alphapulse.client.connection import Target
from tests.benchmarks.figures import Figure, at_most
from tests.benchmarks.served import served

TENANTS = 10


def run() -> list[Figure]:
    taken: list[float] = []
    with served() as daemon, Client(Target(daemon.url, daemon.key)) as client:
        for number in range(TENANTS):
            began = time.perf_counter()
            client.tenants.provision(f"Bench {number}", "pro", f"ann@bench-{number}.example")
            taken.append(time.perf_counter() - began)
    detail = {"median_s": round(median(taken), 3), "tenants": TENANTS, "published_target_s": 120}
    return [at_most("provisioning_slowest", max(taken), 2, "s", **detail)]
