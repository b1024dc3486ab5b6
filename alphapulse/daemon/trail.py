"""Every API request in the audit log, before its answer leaves."""

from __future__ import annotations

import time
from dataclasses import replace

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alphapulse.audit.recorder import Recorder
from alphapulse.daemon.facts import Facts, facts_of, route_of
from alphapulse.daemon.problems import problem_answer
from alphapulse.domain.audit import AuditEvent
from alphapulse.domain.tenancy import PLATFORM, Role
from alphapulse.errors import AlphaPulseError, Unavailable

#: Asked every few seconds by machines; an entry each would bury the rest.
UNRECORDED = frozenset({"/health/live", "/health/ready", "/metrics"})
_LONGEST_PATH = 300
_FIRST_REFUSAL = 400


class Trail:
    """Holds the answer back until the entry is committed; when it cannot be, the answer is 503 instead.

    A client that got an answer can therefore rely on the entry. What a refused answer hides may have happened:
    the entry is missing, the change is not, and an order's idempotency key finds it again.
    """

    def __init__(self, app: ASGIApp, recorder: Recorder) -> None:
        self._app = app
        self._recorder = recorder
        self._log = structlog.get_logger("alphapulse.daemon")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in UNRECORDED:
            await self._app(scope, receive, send)
            return
        facts = facts_of(scope)
        replaced = False

        async def recorded(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start":
                try:
                    await leave(self._recorder, scope, facts, message["status"])
                except AlphaPulseError as error:
                    replaced = True
                    self._log.error("request could not be recorded", code=error.code, detail=error.message)
                    refusal = Unavailable(
                        "the audit log cannot be written", fix="Look before you repeat: it may have happened."
                    )
                    await problem_answer(refusal, facts.request_id)(scope, receive, send)
            if not replaced:
                await send(message)

        await self._app(scope, receive, recorded)


async def leave(recorder: Recorder, scope: Scope, facts: Facts, status: int) -> None:
    """Record the request in the chain of its tenant; a platform admin's in the platform's too.

    A refused stranger is only counted, and so is one who merely read something public. Raises Unavailable.
    """
    caller = facts.caller
    event = entry(scope, facts, status)
    if caller is None:
        if status < _FIRST_REFUSAL and scope.get("method") == "POST":
            await recorder.record(replace(event, actor=facts.claimed or event.actor))
        else:
            template = f"{scope.get('method', 'WS')} {route_of(scope)[1]}"
            recorder.count_refused(replace(event, path=template, duration_ms=0))
    elif caller.role is Role.PLATFORM_ADMIN and caller.tenant_id is not None:
        ours = replace(event, tenant_id=PLATFORM, subject=str(caller.tenant_id))
        await recorder.record(event, ours, person=caller.user_id)
    else:
        await recorder.record(event, person=caller.user_id)


def entry(scope: Scope, facts: Facts, status: int) -> AuditEvent:
    caller = facts.caller
    client = scope.get("client")
    raw = scope.get("raw_path") or scope["path"].encode("ascii", "replace")
    path = raw.partition(b"?")[0].decode("ascii", "replace")[:_LONGEST_PATH]
    return AuditEvent(
        tenant_id=PLATFORM if caller is None or caller.tenant_id is None else caller.tenant_id,
        actor="anonymous" if caller is None else caller.actor,
        action=route_of(scope)[0],
        path=f"{scope.get('method', 'WS')} {path}",
        status=status,
        outcome="ok" if status < _FIRST_REFUSAL else facts.outcome or f"http_{status}",
        request_id=facts.request_id,
        at=facts.at,
        address=client[0] if client else "",
        duration_ms=int((time.perf_counter() - facts.started) * 1000),
        support="" if caller is None or caller.support is None else str(caller.support),
    )
