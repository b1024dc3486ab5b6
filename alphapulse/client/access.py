"""Who is asking, and whether anybody answers."""

from __future__ import annotations

from typing import Any, cast

from alphapulse.client.connection import Connection, read
from alphapulse.domain.tenancy import Token, Whoami


class AccessCalls:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def login(self, email: str, password: str, tenant: str | None = None) -> Token:
        """tenant: slug; needed only by members of several tenants. Raises Unauthenticated."""
        body = {"email": email, "password": password}
        if tenant is not None:
            body["tenant"] = tenant
        return read(Token, self._connection.post("/auth/login", body))

    def logout(self) -> None:
        """The session ends at once, also its open streams."""
        self._connection.post("/auth/logout")

    def renew(self) -> Token:
        return read(Token, self._connection.post("/auth/renew"))

    def change_password(self, current: str, new: str) -> None:
        """One's own; every other session of the user ends. Raises InvalidInput when ``current`` is wrong."""
        self._connection.post("/auth/password", {"current": current, "new": new})

    def whoami(self) -> Whoami:
        return read(Whoami, self._connection.get("/auth/whoami"))

    def ready(self) -> dict[str, Any]:
        """``{status, ports: {name: {ok, latency_ms, age_s, detail}}}``, also while the daemon is not ready."""
        return cast("dict[str, Any]", self._connection.request("GET", "/health/ready", accept=(503,)))

    def version(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self._connection.get("/version"))
