"""What surrounds every request: the audit log, health, metrics, the settings in effect."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from alphapulse.daemon.health import Health, room_in
from alphapulse.domain.tenancy import PLATFORM, Role
from tests.daemon.house import House, audit_of


async def test_every_request_is_in_the_audit_log_before_it_is_answered(house: House) -> None:
    tenant = await house.services.tenancy.get_tenant("acme")
    headers = await house.as_(Role.VIEWER)
    asked = [
        ("GET", "/funds", 200, "ok", "funds.listed"),
        ("GET", "/funds/none", 404, "not_found", "funds.show"),
        ("POST", "/trades", 403, "forbidden", "trades.place"),
        ("GET", "/portfolio?fnud=1", 422, "invalid_input", "portfolio.show"),
    ]
    ids: list[str] = []
    for method, path, status, _, _ in asked:
        answer = await house.ask(method, path, headers=headers)
        assert answer.status_code == status
        ids.append(answer.headers["x-request-id"])
        last = (await audit_of(house, tenant.id))[-1]
        assert last.request_id == ids[-1]
    found = (await audit_of(house, tenant.id))[-4:]
    assert [(e.path, e.status, e.outcome, e.action) for e in found] == [
        (f"{method} {path.partition('?')[0]}", status, outcome, action)
        for method, path, status, outcome, action in asked
    ]
    assert {e.actor for e in found} == {"viewer@acme.example"}
    verdict = await house.ask("GET", "/audit/verify", headers=await house.as_(Role.TENANT_ADMIN))
    assert verdict.json()["broken_at"] is None


async def test_requests_of_strangers_are_in_the_platforms_log(house: House) -> None:
    await house.ask("GET", "/funds")
    await house.ask("GET", "/%2e%2e/etc/passwd")
    await house.ask("POST", "/auth/login", {"email": "trader@acme.example", "password": "wrong password"})
    found = await audit_of(house, PLATFORM)
    assert [(e.actor, e.action, e.status, e.outcome) for e in found] == [
        ("anonymous", "funds.listed", 401, "unauthenticated"),
        ("anonymous", "unrouted", 404, "not_found"),
        ("anonymous", "auth.login", 401, "unauthenticated"),
    ]


async def test_health_and_metrics_are_not_in_the_audit_log(house: House) -> None:
    for path in ("/health/live", "/health/ready", "/metrics"):
        assert (await house.ask("GET", path)).status_code == 200
    assert await audit_of(house, PLATFORM) == []


async def test_concurrent_requests_are_each_recorded_once(house: House) -> None:
    tenant = await house.services.tenancy.get_tenant("acme")
    headers = await house.as_(Role.VIEWER)
    answers = await asyncio.gather(*(house.ask("GET", "/risk/halts", headers=headers) for _ in range(60)))
    recorded = [event.request_id for event in await audit_of(house, tenant.id)]
    assert sorted(recorded) == sorted(answer.headers["x-request-id"] for answer in answers)


async def test_a_request_that_cannot_be_recorded_is_not_answered(house: House) -> None:
    headers = await house.as_(Role.VIEWER)
    assert (await house.ask("GET", "/funds", headers=headers)).status_code == 200
    await house.services.recorder.close()
    answer = await house.ask("GET", "/funds", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "1"


async def test_the_ready_answer_names_the_part_that_fails(house: House) -> None:
    answer = await house.ask("GET", "/health/ready")
    assert answer.json()["status"] == "ready"
    assert answer.json()["ports"]["database"]["ok"] is True
    await house.services.database.close()  # type: ignore[attr-defined]
    answer = await house.ask("GET", "/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "unready")
    assert answer.json()["ports"]["database"]["detail"]


async def test_a_disk_that_is_nearly_full_is_not_ready(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    health = Health({"disk": room_in(tmp_path, least=2 * free), "gone": room_in(tmp_path / "gone")})
    found = await health.look()
    assert found.status == "unready"
    assert "MB free" in found.ports["disk"].detail
    assert "No such file" in found.ports["gone"].detail
    assert (await Health({"disk": room_in(tmp_path, least=0)}).look()).status == "ready"


async def test_a_draining_daemon_is_not_ready(house: House) -> None:
    house.services.health.drain()
    answer = await house.ask("GET", "/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "draining")


async def test_a_database_that_is_away_is_a_503(house: House) -> None:
    headers = await house.as_(Role.VIEWER)
    await house.services.database.close()  # type: ignore[attr-defined]
    answer = await house.ask("GET", "/funds", headers=headers)
    assert (answer.status_code, answer.json()["retryable"]) == (503, True)


async def test_metrics_count_requests_by_route_and_never_by_tenant(house: House) -> None:
    await house.ask("GET", "/funds/none", headers=await house.as_(Role.VIEWER))
    text = (await house.ask("GET", "/metrics")).text
    assert 'alphapulse_http_request_seconds_count{method="GET",route="/funds/{fund}",status="4xx"} 1.0' in text
    assert "acme" not in text


async def test_the_effective_settings_are_shown_without_secrets(house: House) -> None:
    answer = await house.ask("GET", "/config", headers=house.platform)
    assert answer.json()["port"] == 8470
    assert answer.json()["database_url"] in {None, "**********"}
