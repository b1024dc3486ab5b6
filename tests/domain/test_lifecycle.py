"""The table of legal moves, and what each state leaves."""

from __future__ import annotations

import pytest

from alphapulse.domain.lifecycle import (
    ADMITS,
    CLOSING,
    LEAVES,
    MOVES,
    REDUCE_ONLY,
    TRADES,
    Move,
    TenantState,
    moved,
    permits,
)
from alphapulse.domain.permissions import PERMISSIONS, Permission, Role
from alphapulse.errors import Conflict

ADDS_RISK = {Permission.FUNDS_WRITE, Permission.AGENTS_WRITE, Permission.RISK_RESUME}


def test_every_state_is_reached_and_left_by_some_move() -> None:
    reached = {target for targets in MOVES.values() for target in targets}
    left = {state for state, _ in MOVES}
    assert reached == left == set(TenantState)


def test_every_move_that_is_not_in_the_table_is_refused_and_told_what_is() -> None:
    for state in TenantState:
        for move in Move:
            if (state, move) not in MOVES:
                with pytest.raises(Conflict, match=f"a tenant that is {state} cannot") as refused:
                    moved(state, move)
                legal = [known.value.replace("_", " ") for here, known in MOVES if here is state]
                assert all(name in refused.value.fix for name in legal)


def test_only_a_restore_has_a_choice_and_it_is_what_was_remembered() -> None:
    for (state, move), targets in MOVES.items():
        if move is not Move.RESTORE:
            assert len(targets) == 1
            continue
        for target in TenantState:
            if target in targets:
                assert moved(state, move, left=target) is target
            else:
                with pytest.raises(Conflict):
                    moved(state, move, left=target)


def test_a_restore_leads_to_exactly_the_states_that_closing_leaves() -> None:
    for closed, move in ((TenantState.CANCELLED, Move.CANCEL), (TenantState.DELETED, Move.DELETE)):
        left = {state for state, each in MOVES if each is move} - {TenantState.CANCELLED}
        assert MOVES[closed, Move.RESTORE] == left
    assert frozenset({Move.CANCEL, Move.DELETE}) == CLOSING


def test_a_tenant_that_trades_may_do_all_that_its_roles_may() -> None:
    assert all(LEAVES[state] == frozenset(Permission) for state in TRADES)


@pytest.mark.parametrize("state", sorted(REDUCE_ONLY))
def test_where_only_exits_work_nothing_adds_risk(state: TenantState) -> None:
    assert not any(permits(state, permission) for permission in ADDS_RISK)


def test_a_suspended_tenant_reads_exits_cancels_stops_and_halts() -> None:
    wanted = {Permission.ORDERS_WRITE, Permission.FUNDS_STOP, Permission.RISK_HALT, Permission.AUDIT_READ}
    assert all(permits(TenantState.SUSPENDED, each) for each in wanted | PERMISSIONS[Role.VIEWER])


@pytest.mark.parametrize("state", TenantState)
def test_no_state_takes_from_the_platform_what_it_needs_to_change_it(state: TenantState) -> None:
    assert permits(state, Permission.TENANTS_WRITE)
    assert permits(state, Permission.TENANTS_READ)


def test_nobody_is_admitted_before_a_tenant_is_ready() -> None:
    assert set(TenantState) - ADMITS == {TenantState.PENDING, TenantState.PROVISIONING}
