"""What a person leaves out, filled in where only one answer is possible."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING
from uuid import UUID

from alphapulse.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from alphapulse.client.api import Client

_PREFIX = re.compile(r"[0-9a-f]{4}[0-9a-f-]{0,31}")
#: How many of the newest orders a short id is looked up in.
_NEWEST = 500


def fund_or_only(client: Client, named: str | None) -> str:
    """``named``, or the tenant's only fund. Raises InvalidInput when there are several, NotFound when there is none."""
    if named:
        return named
    names = [fund.name for fund in client.funds.list()]
    if not names:
        raise NotFound("there is no fund yet", fix="Create one with `alphapulse funds create NAME`.")
    if len(names) > 1:
        raise InvalidInput("which fund?", field="fund", fix=f"Add --fund with one of {', '.join(sorted(names)[:10])}.")
    return names[0]


def fund_names(client: Client, ids: Iterable[UUID]) -> Mapping[UUID, str] | None:
    """Names of the funds of ``ids`` when these are several, for a column; None when one fund is all there is."""
    if len(set(ids)) < 2:
        return None
    return {fund.id: fund.name for fund in client.funds.list()}


def order_id(client: Client, text: str, fund: str | None = None) -> str:
    """The whole id for a whole id, for its first characters (four or more), or for the word ``last``.

    ``last`` is the order that was created last: of ``fund`` when one is named, else of all the tenant's funds.
    """
    try:
        return str(UUID(text))
    except ValueError:
        pass
    wanted = text.lower()
    if wanted != "last" and not _PREFIX.fullmatch(wanted):
        raise InvalidInput(
            f"order: {text[:60]!r} is not an order's id",
            field="order",
            fix="Give the id, its first four or more characters, or `last`.",
        )
    newest = client.orders.list(fund, limit=1 if wanted == "last" else _NEWEST)
    found = [str(order.id) for order in newest if wanted == "last" or str(order.id).startswith(wanted)]
    if not found:
        raise NotFound(
            "there is no order yet" if wanted == "last" else f"no recent order's id starts with {wanted}",
            fix="See `alphapulse orders list`.",
        )
    if len(found) > 1:
        raise InvalidInput(
            f"order: {len(found)} orders' ids start with {wanted}", field="order", fix="Give more of the id."
        )
    return found[0]
