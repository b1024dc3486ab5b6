"""The tenant's own way out: a copy of everything over the API, in parts if need be, and the deletion with its undo."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from uuid import UUID, uuid4

import pytest

from alphapulse.domain.tenancy import Role
from tests.daemon.house import House, audit_of

A = Role.TENANT_ADMIN


@pytest.fixture
async def made(house: House) -> tuple[House, dict[str, str], str]:
    """A tenant with an export that is ready: (house, headers of its admin, id of the export)."""
    tenant = await house.services.tenancy.get_tenant("acme")
    headers = await house.as_(A)
    begun = await house.ask("GET", "/export", headers=headers)
    assert begun.status_code == 202, begun.text
    await house.services.exports.run(tenant.id, UUID(begun.json()["id"]))
    return house, headers, begun.json()["id"]


async def test_an_export_is_begun_by_asking_for_it_and_fetched_when_it_is_ready(
    made: tuple[House, dict[str, str], str],
) -> None:
    house, headers, export_id = made
    ready = await house.ask("GET", "/export", headers=headers)
    assert (ready.status_code, ready.json()["id"]) == (200, export_id)
    assert ready.json()["link"].endswith(f"/exports/{export_id}/file")
    file = await house.ask("GET", f"/exports/{export_id}/file", headers=headers)
    assert (file.status_code, file.headers["content-type"]) == (200, "application/zip")
    assert hashlib.sha256(file.content).hexdigest() == ready.json()["sha256"] == file.headers["etag"].strip('"')
    with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["tenant"]["slug"] == "acme"
    assert {"memberships.ndjson", "audit_events.ndjson"} <= {entry["file"] for entry in manifest["tables"]}


async def test_a_download_that_broke_off_goes_on_where_it_was(made: tuple[House, dict[str, str], str]) -> None:
    house, headers, export_id = made
    path = f"/exports/{export_id}/file"
    whole = await house.ask("GET", path, headers=headers)
    first = await house.ask("GET", path, headers={**headers, "Range": "bytes=0-999"})
    rest = await house.ask("GET", path, headers={**headers, "Range": "bytes=1000-", "If-Range": whole.headers["etag"]})
    assert (first.status_code, rest.status_code) == (206, 206)
    assert first.content + rest.content == whole.content
    changed = await house.ask("GET", path, headers={**headers, "Range": "bytes=1000-", "If-Range": '"another"'})
    assert (changed.status_code, changed.content) == (200, whole.content)
    beyond = await house.ask("GET", path, headers={**headers, "Range": f"bytes={len(whole.content)}-"})
    assert beyond.status_code == 416


async def test_only_the_tenants_own_admin_gets_a_copy(made: tuple[House, dict[str, str], str]) -> None:
    house, _, export_id = made
    path = f"/exports/{export_id}/file"
    assert (await house.ask("GET", path)).status_code == 401
    for role in (Role.TRADER, Role.VIEWER):
        assert (await house.ask("GET", path, headers=await house.as_(role))).status_code == 403
    assert (await house.ask("GET", path, headers=await house.as_(A, "rival"))).status_code == 404
    assert (await house.ask("GET", f"/exports/{uuid4()}", headers=await house.as_(A))).status_code == 404


async def test_a_deletion_wants_the_slug_typed_can_be_taken_back_and_leaves_the_export_open(
    made: tuple[House, dict[str, str], str],
) -> None:
    house, headers, export_id = made
    wrong = await house.ask("DELETE", "/account", {"confirm": "acne"}, headers=headers)
    assert (wrong.status_code, wrong.json()["field"]) == (422, "confirm")
    deleted = await house.ask("DELETE", "/account", {"confirm": "acme"}, headers=headers)
    assert (deleted.status_code, deleted.json()["state"]) == (200, "deleted")
    account = (await house.ask("GET", "/account", headers=headers)).json()
    assert account["state"] == "deleted"
    assert account["erased_at"] is not None
    assert (await house.ask("GET", "/funds", headers=headers)).status_code == 403
    assert (await house.ask("GET", f"/exports/{export_id}/file", headers=headers)).status_code == 200
    back = await house.ask("POST", "/account/restore", {}, headers=headers)
    assert (back.status_code, back.json()["state"]) == (200, "active")
    assert (await house.ask("GET", "/funds", headers=headers)).status_code == 200
    tenant = await house.services.tenancy.get_tenant("acme")
    actions = [event.action for event in await audit_of(house, tenant.id) if event.kind == "change"]
    assert {"tenant.delete", "tenant.restore", "export.request", "export.finish"} <= set(actions)


async def test_an_erased_tenant_can_be_neither_exported_nor_logged_in_to(
    made: tuple[House, dict[str, str], str],
) -> None:
    house, headers, export_id = made
    tenant = await house.services.tenancy.get_tenant("acme")
    signed = await house.services.privacy.erase_tenant(tenant.id, reason="30 days over", actor="lifecycle")
    house.services.logins.forget_tenant(tenant.id)
    for path in ("/export", f"/exports/{export_id}/file", "/account"):
        assert (await house.ask("GET", path, headers=headers)).status_code == 401, path
    checked = await house.ask(
        "POST", "/certificates/check", {"statement": signed.statement, "signature": signed.signature}
    )
    assert checked.json()["genuine"] is True
    assert checked.json()["certificate"]["tenant_id"] == str(tenant.id)
    forged = await house.ask(
        "POST", "/certificates/check", {"statement": signed.statement + " ", "signature": signed.signature}
    )
    assert forged.json() == {"genuine": False, "certificate": None}


@pytest.mark.parametrize(
    ("path", "command"),
    [("/accept", "members accept"), ("/confirm", "account confirm"), ("/reset", "password reset")],
)
async def test_a_link_of_a_mail_leads_to_a_page_that_says_what_to_do(house: House, path: str, command: str) -> None:
    page = await house.ask("GET", path)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert f"alphapulse {command}" in page.text
