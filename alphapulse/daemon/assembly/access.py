"""How people and scripts get in: the services behind logins, second factors, sessions and keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alphapulse.tenancy.admission import Admission
from alphapulse.tenancy.api_keys import ApiKeys
from alphapulse.tenancy.logins import Logins
from alphapulse.tenancy.second_factors import SecondFactors
from alphapulse.tenancy.sessions import Sessions
from alphapulse.tenancy.signing_keys import SigningKeys
from alphapulse.tenancy.throttle import Throttle

if TYPE_CHECKING:
    from alphapulse.clock import Clock
    from alphapulse.ports.database import Database
    from alphapulse.sealing import Seal
    from alphapulse.settings import Settings
    from alphapulse.tenancy.passwords import Passwords
    from alphapulse.tenancy.policies import Policies


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """As ``Services`` names them."""

    logins: Logins
    keys: ApiKeys
    sessions: Sessions
    second_factors: SecondFactors
    signing_keys: SigningKeys


def build_access(
    settings: Settings, *, database: Database, clock: Clock, passwords: Passwords, policies: Policies, seal: Seal
) -> Access:
    signing_keys = SigningKeys(database=database, clock=clock, seal=seal, token_lifetime=settings.token_lifetime)
    second_factors = SecondFactors(database=database, clock=clock, seal=seal)
    required = settings.profile == "production"
    logins = Logins(
        database=database,
        clock=clock,
        seal=seal,
        admission=Admission(database=database, clock=clock, keys=signing_keys, second_factor=required),
        keys=signing_keys,
        passwords=passwords,
        throttle=Throttle(database=database, clock=clock),
        second_factors=second_factors,
        policies=policies,
        token_lifetime=settings.token_lifetime,
        session_lifetime=settings.session_lifetime,
    )
    return Access(
        logins=logins,
        keys=ApiKeys(database=database, clock=clock),
        sessions=Sessions(database=database, clock=clock, lifetime=settings.session_lifetime),
        second_factors=second_factors,
        signing_keys=signing_keys,
    )
