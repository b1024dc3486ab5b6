"""Tenants are provisioned by a real daemon that is killed after each of their steps."""

from __future__ import annotations

import signal

import pytest

from alphapulse.client.api import Client
from alphapulse.client.connection import Target
from alphapulse.domain.lifecycle import TenantState
from alphapulse.domain.provisioning import ProvisioningStatus, StepName, StepState
from tests.daemon.processes import Daemon, daemon
from tests.daemon.waiting import eventually_now


def done(status: ProvisioningStatus) -> int:
    return sum(step.state is StepState.DONE for step in status.steps)


def begin_and_kill(killed: Daemon, slug: str, after: int) -> int:
    """Kill the daemon as soon as ``after`` steps are seen done; how many were."""
    url = killed.start()
    seen = [0]

    def reached() -> bool:
        seen.append(done(client.tenants.provisioning(slug)))
        return seen[-1] >= after

    with Client(Target(url, killed.key)) as client:
        client.tenants.create("Acme", "pro", f"ann@{slug}.example", slug=slug)
        eventually_now(reached, every_s=0.001)
        killed.signal(signal.SIGKILL)
    killed.process.communicate()
    return seen[-1]


@pytest.mark.timeout(240)
def test_a_provisioning_is_carried_on_wherever_its_daemon_was_killed() -> None:
    with daemon() as killed:
        slugs = [f"acme-after-{number}" for number in range(len(StepName) + 1)]
        left = [begin_and_kill(killed, slug, number) for number, slug in enumerate(slugs)]
        assert min(left) < len(StepName), "every kill came too late"
        url = killed.start()
        with Client(Target(url, killed.key)) as client:
            for slug in slugs:

                def is_active(slug: str = slug) -> bool:
                    return client.tenants.get(slug).state is TenantState.ACTIVE

                eventually_now(is_active, within_s=60)
                status = client.tenants.provisioning(slug)
                assert {step.state for step in status.steps} == {StepState.DONE}
                assert status.finished_at is not None
