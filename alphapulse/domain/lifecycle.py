"""The life of a tenant: its states, the legal moves between them, and what each state leaves its members to do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum

from alphapulse.domain.permissions import Permission
from alphapulse.errors import Conflict


class TenantState(StrEnum):
    """pending: stored, nothing prepared. past_due: an invoice is open; all works. suspended: reduce-only.

    cancelled: closed, and kept. deleted: kept for KEPT, then purged.
    """

    PENDING = "pending"
    PROVISIONING = "provisioning"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"
    DELETED = "deleted"


class Move(StrEnum):
    """What may be done to a tenant. restore: back to where it stood before it was closed, by cancel or delete."""

    PROVISION = "provision"
    COMPLETE = "complete"
    ROLL_BACK = "roll_back"
    FALL_DUE = "fall_due"
    SETTLE = "settle"
    SUSPEND = "suspend"
    RESUME = "resume"
    CANCEL = "cancel"
    DELETE = "delete"
    RESTORE = "restore"


#: How long a deleted tenant can be restored; after that it is purged.
KEPT = timedelta(days=30)

_S = TenantState
#: Every legal move and where it may lead. Only ``restore`` has a choice: the state that was left is remembered.
MOVES: Mapping[tuple[TenantState, Move], frozenset[TenantState]] = {
    (_S.PENDING, Move.PROVISION): frozenset({_S.PROVISIONING}),
    (_S.PENDING, Move.DELETE): frozenset({_S.DELETED}),
    (_S.PROVISIONING, Move.COMPLETE): frozenset({_S.ACTIVE}),
    (_S.PROVISIONING, Move.ROLL_BACK): frozenset({_S.PENDING}),
    (_S.ACTIVE, Move.FALL_DUE): frozenset({_S.PAST_DUE}),
    (_S.ACTIVE, Move.SUSPEND): frozenset({_S.SUSPENDED}),
    (_S.ACTIVE, Move.CANCEL): frozenset({_S.CANCELLED}),
    (_S.ACTIVE, Move.DELETE): frozenset({_S.DELETED}),
    (_S.PAST_DUE, Move.SETTLE): frozenset({_S.ACTIVE}),
    (_S.PAST_DUE, Move.SUSPEND): frozenset({_S.SUSPENDED}),
    (_S.PAST_DUE, Move.CANCEL): frozenset({_S.CANCELLED}),
    (_S.PAST_DUE, Move.DELETE): frozenset({_S.DELETED}),
    (_S.SUSPENDED, Move.RESUME): frozenset({_S.ACTIVE}),
    (_S.SUSPENDED, Move.CANCEL): frozenset({_S.CANCELLED}),
    (_S.SUSPENDED, Move.DELETE): frozenset({_S.DELETED}),
    (_S.CANCELLED, Move.DELETE): frozenset({_S.DELETED}),
    (_S.CANCELLED, Move.RESTORE): frozenset({_S.ACTIVE, _S.PAST_DUE, _S.SUSPENDED}),
    (_S.DELETED, Move.RESTORE): frozenset({_S.PENDING, _S.ACTIVE, _S.PAST_DUE, _S.SUSPENDED}),
}

#: Moves that close a tenant: open orders must be cancelled and open positions acknowledged first.
CLOSING = frozenset({Move.CANCEL, Move.DELETE})
#: Where new risk is refused while exits, cancels, protective stops and the halt work.
REDUCE_ONLY = frozenset({_S.SUSPENDED, _S.CANCELLED, _S.DELETED})
#: Where the schedule decides for funds.
TRADES = frozenset({_S.ACTIVE, _S.PAST_DUE})
#: Where members may log in, if only to see, export or undo.
ADMITS = frozenset({_S.ACTIVE, _S.PAST_DUE, _S.SUSPENDED, _S.CANCELLED, _S.DELETED})

_P = Permission
_PLATFORM = frozenset({_P.TENANTS_READ, _P.TENANTS_WRITE, _P.PLATFORM_READ, _P.PLATFORM_WRITE, _P.MARKET_WRITE})
_READS = frozenset(
    {
        _P.FUNDS_READ,
        _P.AGENTS_READ,
        _P.ORDERS_READ,
        _P.RISK_READ,
        _P.MARKET_READ,
        _P.EVENTS_READ,
        _P.AUDIT_READ,
        _P.JOBS_READ,
        _P.CACHE_READ,
        _P.CACHE_FLUSH,
        _P.MEMBERS_READ,
    }
)
#: The desk itself refuses what would add risk, so that orders that reduce it need no permission of their own.
_EXITS = frozenset({_P.ORDERS_WRITE, _P.FUNDS_STOP, _P.RISK_HALT})
#: A copy of everything, and to close the tenant or take that back: for as long as there is anything.
_LEAVING = frozenset({_P.ACCOUNT_EXPORT, _P.ACCOUNT_DELETE})
_ALL = frozenset(Permission)

#: What a state leaves of a role's permissions; the platform's own work is never taken away.
LEAVES: Mapping[TenantState, frozenset[Permission]] = {
    _S.PENDING: _PLATFORM,
    _S.PROVISIONING: _PLATFORM,
    _S.ACTIVE: _ALL,
    _S.PAST_DUE: _ALL,
    _S.SUSPENDED: _PLATFORM | _READS | _EXITS | _LEAVING | {_P.MEMBERS_WRITE, _P.PLAN_WRITE},
    _S.CANCELLED: _PLATFORM | _READS | _EXITS | _LEAVING,
    _S.DELETED: _PLATFORM | _LEAVING,
}


def permits(state: TenantState, permission: Permission) -> bool:
    """Whether a tenant in ``state`` leaves those who have ``permission`` the use of it."""
    return permission in LEAVES[state]


def moved(state: TenantState, move: Move, *, left: TenantState | None = None) -> TenantState:
    """Where ``move`` leads. left: the state that was remembered when the tenant was closed, for a restore.

    Raises Conflict when the move is not legal here, naming those that are.
    """
    targets = MOVES.get((state, move), frozenset())
    if len(targets) == 1:
        return next(iter(targets))
    if left is not None and left in targets:
        return left
    legal = sorted(each.value for here, each in MOVES if here is state)
    raise Conflict(
        f"a tenant that is {state} cannot {move.value.replace('_', ' ')}",
        fix=f"From {state} it can: {', '.join(legal)}.".replace("_", " "),
    )
