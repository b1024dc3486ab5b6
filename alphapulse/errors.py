"""Everything that can go wrong, as one tree; catch the rung that fits what you can do about it.

AlphaPulseError
├── Refused                     the request is at fault; the same request will be refused again
│   ├── InvalidInput            a value is malformed: names the field, the problem and the fix
│   │   └── PayloadTooLarge     the body is larger than the route accepts
│   ├── Unauthenticated         no valid login
│   ├── Forbidden               logged in, but the role does not allow this
│   ├── NotFound                no such thing, or not this tenant's
│   ├── Conflict                the thing is in a state that does not allow this
│   │   ├── AlreadyExists       the name or id is taken
│   │   └── IdempotencyMismatch the same key came with another request
│   ├── TierLimitReached        the tenant's tier includes no more of this: names the tier that does
│   ├── InputNeeded             a question must be answered, and nobody can be asked
│   │   ├── CodeNeeded          the password is right, and a code of the authenticator is asked for
│   │   └── PolicyNotAccepted   the privacy policy in force must be read and accepted first
│   └── LimitBreached           a risk limit or a halt stands against it: carries every denial
├── TryAgain                    nothing is wrong with the request; repeat it later
│   ├── Unavailable             a part we need does not answer (database, venue, provider)
│   ├── DaemonUnreachable       no daemon answers at this address
│   └── TooManyRequests         a rate limit; carries the delay
├── UnknownOutcome              a venue did not say whether it acted: look up, never resend blindly
├── Misconfigured               the settings or the machine are at fault: names the setting and the fix
├── StorageFull                 no space left: nothing was half-written
├── DriftFound                  two books that must agree do not
└── Defect                      a bug of ours; carries the request id to report

The tree knows neither HTTP nor exit codes: `daemon/problems.py` and `cli/render.py` map it, each once.
Every class has a stable ``code`` that scripts may match on.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar


class AlphaPulseError(Exception):
    """Root of the tree.

    message: what happened, to which thing. fix: what the reader can do now, or empty.
    request_id: set on errors that came back from a daemon.
    """

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, fix: str = "", request_id: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.request_id = request_id


class Refused(AlphaPulseError):
    code = "refused"


class InvalidInput(Refused):
    """field: dotted path of the value at fault, or empty when the whole is malformed."""

    code = "invalid_input"

    def __init__(self, message: str, *, field: str = "", fix: str = "", request_id: str = "") -> None:
        super().__init__(message, fix=fix, request_id=request_id)
        self.field = field


class PayloadTooLarge(InvalidInput):
    code = "payload_too_large"


class Unauthenticated(Refused):
    code = "unauthenticated"


class Forbidden(Refused):
    code = "forbidden"


class NotFound(Refused):
    code = "not_found"


class Conflict(Refused):
    code = "conflict"


class AlreadyExists(Conflict):
    code = "already_exists"


class IdempotencyMismatch(Conflict):
    code = "idempotency_mismatch"


class LimitBreached(Refused):
    """denials: one line per failed check, each ``CODE: key=value key=value``."""

    code = "limit_breached"

    def __init__(self, message: str, *, denials: tuple[str, ...] = (), fix: str = "", request_id: str = "") -> None:
        super().__init__(message, fix=fix, request_id=request_id)
        self.denials = denials


class TierLimitReached(Refused):
    code = "tier_limit_reached"


class TryAgain(AlphaPulseError):
    code = "try_again"
    retryable = True


class Unavailable(TryAgain):
    code = "unavailable"


class DaemonUnreachable(TryAgain):
    code = "daemon_unreachable"


class TooManyRequests(TryAgain):
    """retry_after: how long to wait before the same request can pass."""

    code = "too_many_requests"

    def __init__(self, message: str, *, retry_after: timedelta, fix: str = "", request_id: str = "") -> None:
        super().__init__(message, fix=fix, request_id=request_id)
        self.retry_after = retry_after


class UnknownOutcome(AlphaPulseError):
    code = "unknown_outcome"


class Misconfigured(AlphaPulseError):
    code = "misconfigured"


class StorageFull(AlphaPulseError):
    code = "storage_full"


class DriftFound(AlphaPulseError):
    code = "drift_found"


class Defect(AlphaPulseError):
    code = "defect"


class InputNeeded(Refused):
    """No terminal, or --no-input: the fix names the option that answers in advance."""

    code = "input_needed"


class CodeNeeded(InputNeeded):
    code = "code_needed"


class PolicyNotAccepted(InputNeeded):
    """The fix names the version to accept."""

    code = "policy_not_accepted"
