"""Tenants and plans from the command line, against a real daemon and against scripted answers."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from alphapulse.domain.lifecycle import TenantState
from alphapulse.domain.plans import Tier
from alphapulse.domain.provisioning import Direction, ProvisioningStatus, ProvisioningStep, StepName, StepState
from alphapulse.domain.tenancy import Tenant
from tests.cli.conftest import Ended, Fleet, RunCli
from tests.cli.scripted import Reply, ScriptedDaemon

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
TENANT = Tenant(UUID(int=7), "acme", "Acme", Tier.STARTER, TenantState.PROVISIONING, AT)
CREATE = ("tenants", "create", "--name", "Acme", "--admin-email", "ann@acme.example")


def at(scripted: ScriptedDaemon) -> dict[str, str]:
    return {"ALPHAPULSE_URL": scripted.url, "ALPHAPULSE_API_KEY": "ap_test_key"}


def status(done: int, state: TenantState = TenantState.PROVISIONING, error: str = "") -> ProvisioningStatus:
    steps = tuple(
        ProvisioningStep(name, StepState.DONE if n < done else StepState.WAITING, 1, "made", "", AT, AT)
        for n, name in enumerate(StepName)
    )
    over = state is not TenantState.PROVISIONING
    direction = Direction.BACK if error else Direction.FORWARD
    return ProvisioningStatus(
        TENANT.id, "acme", state, "ann@acme.example", direction, error, AT, AT if over else None, steps
    )


def problem(ended: Ended) -> dict[str, Any]:
    return json.loads(ended.err)["error"]


def test_create_waits_until_the_tenant_is_provisioned(cli: RunCli, scripted: ScriptedDaemon) -> None:
    scripted.on("POST /tenants", Reply(201, TENANT))
    scripted.on("GET /tenants/acme/provisioning", status(1), status(5), status(8, TenantState.ACTIVE))
    scripted.on("GET /tenants/acme", replace(TENANT, state=TenantState.ACTIVE))
    done = cli(*CREATE, "--tier", "pro", "--json", env=at(scripted))
    assert done.code == 0, done.err
    assert json.loads(done.out)["state"] == "active"
    assert json.loads(scripted.asked[0].body) == {"name": "Acme", "tier": "pro", "admin_email": "ann@acme.example"}


def test_a_provisioning_that_was_undone_is_a_conflict_with_the_reason(cli: RunCli, scripted: ScriptedDaemon) -> None:
    scripted.on("POST /tenants", Reply(201, TENANT))
    scripted.on("GET /tenants/acme/provisioning", status(1), status(0, TenantState.PENDING, "billing: away"))
    done = cli(*CREATE, "--json", env=at(scripted))
    assert done.code == 7
    assert problem(done)["message"] == "provisioning acme failed and was undone: billing: away"
    assert "tenants retry acme" in problem(done)["fix"]


def test_create_without_waiting_answers_at_once(cli: RunCli, scripted: ScriptedDaemon) -> None:
    scripted.on("POST /tenants", Reply(201, TENANT))
    done = cli(*CREATE, "--no-wait", "--json", env=at(scripted))
    assert (done.code, json.loads(done.out)["state"]) == (0, "provisioning")


def test_a_limit_of_the_tier_is_told_with_the_tier_that_lifts_it(cli: RunCli, scripted: ScriptedDaemon) -> None:
    said = "agents: 4 are more than the 3 that tier starter allows"
    scripted.problem("GET /funds", 402, "tier_limit_reached", said, fix="tier pro lifts it", retryable=False)
    done = cli("funds", "list", "--json", env=at(scripted))
    assert done.code == 1
    assert (problem(done)["code"], problem(done)["message"]) == ("tier_limit_reached", said)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("override", "acme", "agent=3"), "limit"),
        (("override", "acme", "agents=many", "--until", "2027-01-01T00:00:00Z"), "value"),
        (("override", "acme", "agents=3"), "until"),
        (("change-tier", "acme", "gold"), "tier"),
    ],
)
def test_what_no_tenant_can_be_given_is_refused_before_it_is_sent(
    cli: RunCli, scripted: ScriptedDaemon, arguments: tuple[str, ...], field: str
) -> None:
    done = cli("tenants", *arguments, "--reason", "x", "--json", env=at(scripted))
    assert done.code == 2
    assert field in problem(done)["message"] + problem(done).get("field", "")
    assert scripted.asked == []


def test_deleting_asks_for_the_slug_and_does_not_take_yes_for_it(cli: RunCli, scripted: ScriptedDaemon) -> None:
    done = cli("tenants", "delete", "acme", "--reason", "x", "--yes", "--json", env=at(scripted))
    assert done.code == 8
    assert "--confirm SLUG" in problem(done)["fix"]
    assert scripted.asked == []


def test_overage_is_either_a_cap_or_off(cli: RunCli) -> None:
    assert cli("plan", "overage", "--json").code == 2
    assert cli("plan", "overage", "--cap", "5", "--off", "--json").code == 2


def test_a_tenant_goes_through_its_life(fleet: Fleet) -> None:
    def life(*arguments: str, reason: str = "a test") -> Any:
        return fleet.json("platform", "tenants", *arguments, "--reason", reason)

    created = fleet.json("platform", "tenants", "create", "--name", "Life Ltd", "--admin-email", "li@life.example")
    assert (created["slug"], created["tier"], created["state"]) == ("life-ltd", "starter", "active")
    steps = fleet.json("platform", "tenants", "status", "life-ltd", "--watch")["steps"]
    assert [step["state"] for step in steps] == ["done"] * len(StepName)
    assert life("change-tier", "life-ltd", "pro")["tier"] == "pro"
    assert life("override", "life-ltd", "agents=unlimited", "--until", "2099-01-01T00:00:00Z")["value"] is None
    plan = fleet.json("platform", "tenants", "plan", "life-ltd")
    assert {each["limit"]: each["included"] for each in plan["limits"]}["agents"] is None
    assert life("override", "life-ltd", "agents=tier")["overrides"] == []
    assert life("suspend", "life-ltd")["state"] == "suspended"
    assert life("resume", "life-ltd")["state"] == "active"
    assert life("cancel", "life-ltd", "--yes")["state"] == "cancelled"
    assert life("delete", created["id"], "--confirm", "life-ltd")["state"] == "deleted"
    assert life("restore", "life-ltd")["state"] == "active"
    refused = fleet.run("platform", "tenants", "resume", "life-ltd", "--reason", "x", "--json")
    assert (refused.code, "active cannot resume" in refused.err) == (7, True)


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
def test_the_plan_and_the_steps_are_shown_in_every_form(fleet: Fleet, form: str) -> None:
    for person, arguments in (("viewer", ("plan", "show")), ("platform", ("tenants", "status", "demo"))):
        done = fleet.run(person, *arguments, "--output", form)
        assert done.code == 0, done.err
        assert done.out


def test_a_tenant_admin_sets_a_cap_and_a_trader_may_not(fleet: Fleet) -> None:
    assert fleet.json("owner", "plan", "overage", "--cap", "50")["overage_cap"] == "50"
    assert fleet.json("owner", "plan", "overage", "--off")["overage_cap"] is None
    assert fleet.run("trader", "plan", "overage", "--cap", "50").code == 6
