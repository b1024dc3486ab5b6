"""API keys, and the keys that tokens are signed with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from alphapulse.client.connection import Connection, Page, read
from alphapulse.domain.access import SigningKey
from alphapulse.domain.tenancy import ApiKey, Role


class KeyCalls:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> Page[ApiKey]:
        return self._connection.page(ApiKey, "/keys")

    def create(
        self, name: str, role: Role, *, scopes: Sequence[str] | None = None, expires_at: datetime | None = None
    ) -> ApiKey:
        """With its ``key``, the only time the secret is shown. scopes: permissions; None for all of the role's."""
        body: dict[str, Any] = {"name": name, "role": role.value}
        if scopes is not None:
            body["scopes"] = [*scopes]
        if expires_at is not None:
            body["expires_at"] = expires_at
        return read(ApiKey, self._connection.post("/keys", body))

    def rotate(self, key_id: str, overlap_s: int) -> ApiKey:
        """A key like it, with its ``key``; the old one stays good for ``overlap_s`` seconds."""
        return read(ApiKey, self._connection.post(f"/keys/{quote(key_id, safe='')}/rotate", {"overlap_s": overlap_s}))

    def revoke(self, key_id: str) -> None:
        self._connection.request("DELETE", f"/keys/{quote(key_id, safe='')}")

    def signing(self) -> Page[SigningKey]:
        return self._connection.page(SigningKey, "/signing-keys")

    def rotate_signing(self, *, at_once: bool) -> SigningKey:
        """A new key for tokens. at_once: tokens of the old ones are refused from now on."""
        return read(SigningKey, self._connection.post("/signing-keys", {"at_once": at_once}))
