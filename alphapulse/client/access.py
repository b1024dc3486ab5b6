"""Who is asking, and whether anybody answers."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import quote

from alphapulse.client.connection import Connection, Page, read
from alphapulse.domain.access import Enrolment, RecoveryCodes, SecondFactor, Session
from alphapulse.domain.tenancy import Token, Whoami


class AccessCalls:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def login(
        self,
        email: str,
        password: str,
        tenant: str | None = None,
        *,
        code: str | None = None,
        device: str = "",
        policy_version: str | None = None,
    ) -> Token:
        """tenant: slug; needed only by members of several tenants. code: of an authenticator. device: of an earlier
        log-in. Raises Unauthenticated, CodeNeeded, PolicyNotAccepted.
        """
        more = {"tenant": tenant, "code": code, "device": device or None, "policy_version": policy_version}
        given = {name: value for name, value in more.items() if value is not None}
        return read(Token, self._connection.post("/auth/login", {"email": email, "password": password, **given}))

    def logout(self) -> None:
        """The session ends at once, also its open streams."""
        self._connection.post("/auth/logout")

    def refresh(self, refresh_token: str) -> Token:
        """The next token and the next refresh token; this one is spent. Raises Unauthenticated."""
        return read(Token, self._connection.post("/auth/refresh", {"refresh_token": refresh_token}))

    def change_password(self, current: str, new: str) -> None:
        """One's own; every other session of the user ends. Raises InvalidInput when ``current`` is wrong."""
        self._connection.post("/auth/password", {"current": current, "new": new})

    def second_factor(self) -> SecondFactor:
        return read(SecondFactor, self._connection.get("/auth/totp"))

    def enrol(self, password: str) -> Enrolment:
        """An authenticator that counts once it is confirmed. Raises Conflict when there is one."""
        return read(Enrolment, self._connection.post("/auth/totp", {"password": password}))

    def confirm_factor(self, password: str, code: str) -> RecoveryCodes:
        return read(RecoveryCodes, self._connection.post("/auth/totp/confirm", {"password": password, "code": code}))

    def renew_codes(self, password: str, code: str) -> RecoveryCodes:
        return read(RecoveryCodes, self._connection.post("/auth/totp/codes", {"password": password, "code": code}))

    def disable_factor(self, password: str, code: str) -> None:
        self._connection.post("/auth/totp/disable", {"password": password, "code": code})

    def sessions(self, *, everyones: bool = False) -> Page[Session]:
        """One's own in every tenant; everyones: of all members of the tenant."""
        return self._connection.page(Session, "/members/sessions" if everyones else "/sessions")

    def revoke_session(self, session_id: str) -> None:
        self._connection.request("DELETE", f"/sessions/{quote(session_id, safe='')}")

    def revoke_other_sessions(self) -> int:
        """How many ended."""
        return int(self._connection.request("DELETE", "/sessions")["ended"])

    def whoami(self) -> Whoami:
        return read(Whoami, self._connection.get("/auth/whoami"))

    def ready(self) -> dict[str, Any]:
        """``{status, ports: {name: {ok, latency_ms, age_s, detail}}}``, also while the daemon is not ready."""
        return cast("dict[str, Any]", self._connection.request("GET", "/health/ready", accept=(503,)))

    def version(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self._connection.get("/version"))
