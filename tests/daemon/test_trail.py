"""What surrounds every request: the audit log, health, metrics, the settings in effect."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from alphapulse.audit import store
from alphapulse.daemon.assembly.audit import build_retention
from alphapulse.daemon.health import Health, room_in
from alphapulse.domain.audit import AuditEvent, AuditKind
from alphapulse.domain.tenancy import PLATFORM, Role
from tests.daemon.house import PASSWORD, House, audit_of

AT = datetime(2026, 3, 1, tzinfo=UTC)


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
    for _ in range(3):
        await house.ask("GET", "/funds")
    await house.services.recorder.flush()
    found = [e for e in await audit_of(house, PLATFORM) if e.kind is AuditKind.REFUSED]
    assert [(e.actor, e.action, e.path, e.status, e.outcome, e.count) for e in found] == [
        ("anonymous", "funds.listed", "GET /funds", 401, "unauthenticated", 4),
        ("anonymous", "unrouted", "GET unrouted", 404, "not_found", 1),
        ("anonymous", "auth.login", "POST /auth/login", 401, "unauthenticated", 1),
    ]


async def test_health_and_metrics_are_not_in_the_audit_log(house: House) -> None:
    for path in ("/health/live", "/health/ready", "/metrics"):
        assert (await house.ask("GET", path)).status_code == 200
    await house.services.recorder.flush()
    assert [e for e in await audit_of(house, PLATFORM) if e.path] == []


async def test_concurrent_requests_are_each_recorded_once(house: House) -> None:
    tenant = await house.services.tenancy.get_tenant("acme")
    headers = await house.as_(Role.VIEWER)
    answers = await asyncio.gather(*(house.ask("GET", "/risk/halts", headers=headers) for _ in range(60)))
    found = await audit_of(house, tenant.id)
    recorded = [event.request_id for event in found if event.action == "risk.listed"]
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


async def test_a_login_that_succeeds_names_who_logged_in(house: House) -> None:
    body = {"email": "trader@acme.example", "password": PASSWORD}
    assert (await house.ask("POST", "/auth/login", body)).status_code == 200
    found = [e for e in await audit_of(house, PLATFORM) if e.action == "auth.login"]
    assert [(e.actor, e.status, e.kind) for e in found] == [("trader@acme.example", 200, AuditKind.REQUEST)]


async def test_no_address_is_stored_in_plain_and_each_is_read_back(house: House) -> None:
    tenant = await house.services.tenancy.get_tenant("acme")
    headers = await house.as_(Role.TENANT_ADMIN)
    await house.ask("DELETE", "/members/nobody%40acme.example", headers=headers)
    async with house.services.database.transaction(tenant.id) as tx:
        stored = [row.event for row in await store.rows_after(tx, 0, 1000, 1000)]
    assert not any("@" in f"{e.actor}{e.path}{e.subject}" or "%40" in e.path for e in stored)
    last = (await audit_of(house, tenant.id))[-1]
    assert (last.actor, last.path) == ("tenant_admin@acme.example", "DELETE /members/nobody%40acme.example")
    assert last.address == "127.0.0.1"
    assert stored[-1].address.startswith("{sealed:")


async def test_what_the_platform_does_in_a_tenant_is_in_both_logs(house: House) -> None:
    tenant = await house.services.tenancy.get_tenant("acme")
    answer = await house.ask("GET", "/funds", headers=await house.as_(Role.PLATFORM_ADMIN))
    for owner, subject in ((tenant.id, ""), (PLATFORM, str(tenant.id))):
        last = (await audit_of(house, owner))[-1]
        assert (last.request_id, last.action, last.subject) == (answer.headers["x-request-id"], "funds.listed", subject)


async def test_a_change_and_its_request_share_an_id(house: House) -> None:
    tenant = await house.services.tenancy.get_tenant("acme")
    body = {"scope": "tenant", "reason": "trying it out"}
    answer = await house.ask("POST", "/risk/halt", body, headers=await house.as_(Role.TENANT_ADMIN))
    assert answer.status_code == 201, answer.text
    change, request = (await audit_of(house, tenant.id))[-2:]
    assert (change.kind, change.action, change.reason) == (AuditKind.CHANGE, "risk.halt", "trying it out")
    assert (request.kind, request.action) == (AuditKind.REQUEST, "risk.halt")
    assert change.request_id == request.request_id == answer.headers["x-request-id"]
    assert change.actor == "tenant_admin@acme.example"
    assert change.changes == {"scope": {"after": "tenant"}, "fund": {"after": None}}


async def test_refused_strangers_are_counted_per_address_and_many_addresses_together(house: House) -> None:
    refused = AuditEvent(PLATFORM, "anonymous", "a.b", "GET /x", 401, "unauthenticated", "r", AT)
    for number in range(700):
        house.services.recorder.count_refused(replace(refused, address=f"198.51.100.{number}"))
    await house.services.recorder.flush()
    found = [e for e in await audit_of(house, PLATFORM) if e.action == "a.b"]
    assert len(found) == 501
    assert {e.count for e in found if e.address} == {1}
    assert [e.count for e in found if not e.address] == [200]


async def test_the_export_is_streamed_as_lines_of_json_and_as_csv(house: House) -> None:
    headers = await house.as_(Role.TENANT_ADMIN)
    await house.ask("GET", "/funds", headers=headers)
    lines = await house.ask("GET", "/audit/export", headers=headers)
    assert lines.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line)["sequence"] for line in lines.text.splitlines()] == list(
        range(1, len(lines.text.splitlines()) + 1)
    )
    table = await house.ask("GET", "/audit/export?format=csv", headers=headers)
    assert table.text.startswith("sequence,at,kind,actor,")
    refused = await house.ask("GET", "/audit/export?format=xml", headers=headers)
    assert (refused.status_code, refused.json()["field"]) == (422, "format")


async def test_verify_compares_with_a_published_head(house: House) -> None:
    headers = await house.as_(Role.TENANT_ADMIN)
    first = (await house.ask("GET", "/audit/verify", headers=headers)).json()
    head = f"{first['length']}:{first['head']}"
    whole = (await house.ask("GET", f"/audit/verify?against={head}", headers=headers)).json()
    assert (whole["broken_at"], whole["compared"]) == (None, 1)
    forged = (await house.ask("GET", f"/audit/verify?against={first['length']}:{'0' * 64}", headers=headers)).json()
    assert forged["broken_at"] == first["length"]
    none = await house.ask("GET", "/audit/verify?against=heads", headers=headers)
    assert (none.status_code, none.json()["code"]) == (404, "not_found")
    assert (await house.ask("GET", "/audit/verify?against=x", headers=headers)).status_code == 422
    retention = build_retention(house.settings, house.services, house.services.clock)
    await retention.publish()
    kept = (await house.ask("GET", "/audit/verify?against=heads", headers=headers)).json()
    assert (kept["broken_at"], kept["compared"]) == (None, 1)


async def test_the_platform_reads_a_tenants_log_with_its_names(house: House) -> None:
    await house.ask("GET", "/funds", headers=await house.as_(Role.VIEWER))
    platform = await house.as_(Role.PLATFORM_ADMIN)
    found = (await house.ask("GET", "/audit?actor=viewer@acme.example", headers=platform)).json()["items"]
    assert found[0]["event"]["action"] == "funds.listed"
    assert {item["event"]["actor"] for item in found} == {"viewer@acme.example"}
    assert (await house.ask("GET", "/audit/verify", headers=platform)).json()["broken_at"] is None
    assert (await house.ask("GET", "/audit/export", headers=platform)).status_code == 200
