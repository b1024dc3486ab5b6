"""The API's description is complete: every operation, every schema, every example."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from alphapulse.daemon.access import PUBLIC
from alphapulse.domain.funds import FundConfig
from alphapulse.domain.orders import Order
from alphapulse.domain.portfolio import PortfolioSummary
from alphapulse.domain.tenancy import Member, Tenant, Token, Whoami
from alphapulse.domain.wire import decode
from tests.daemon.house import House


@pytest.fixture
async def described(house: House) -> dict[str, Any]:
    answer = await house.ask("GET", "/openapi.json")
    assert answer.status_code == 200
    return answer.json()


#: Answers that are files, text for machines, or pages for people.
NOT_JSON = {"/metrics", "/accept", "/confirm", "/reset", "/audit/export", "/exports/{export_id}/file"}


def operations(described: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


async def test_every_operation_says_what_it_does_gives_and_needs(described: dict[str, Any]) -> None:
    names: list[str] = []
    for method, path, operation in operations(described):
        names.append(operation["operationId"])
        assert operation["description"], path
        assert len(operation["summary"]) > 5, path
        problem = operation["responses"]["default"]["content"]["application/problem+json"]
        assert problem["schema"]["$ref"].endswith("/Problem")
        success = next(answer for code, answer in operation["responses"].items() if code.startswith("2"))
        assert path in NOT_JSON or "application/json" in success["content"], path
        assert (operation.get("security") == [{"bearer": []}]) == ((method, path) not in PUBLIC), path
    assert len(names) == len(set(names))


async def test_every_schema_of_an_object_has_an_example(described: dict[str, Any]) -> None:
    for name, schema in described["components"]["schemas"].items():
        if schema.get("type") == "object":
            assert schema["example"], name


async def test_written_examples_are_what_the_domain_reads(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    for kind in (FundConfig, Order, PortfolioSummary, Token, Whoami, Tenant, Member):
        decode(kind, schemas[kind.__name__]["example"])


async def test_money_is_described_as_text_only(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    for schema, money in (
        ("NewOrder", "quantity"),
        ("PortfolioSummary", "equity"),
        ("RiskLimits", "max_order_notional"),
    ):
        shown = schemas[schema]["properties"][money]
        assert (shown["type"], shown["format"]) == ("string", "decimal"), schema
    assert '"type": "number"' not in json.dumps(schemas["Holding"])


async def test_the_idempotency_key_is_described_as_required(described: dict[str, Any]) -> None:
    (key,) = described["paths"]["/trades"]["post"]["parameters"]
    assert (key["name"], key["required"]) == ("Idempotency-Key", True)
