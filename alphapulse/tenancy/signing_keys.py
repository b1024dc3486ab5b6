"""The keys that sign tokens: kept sealed in the database, shared by all replicas, replaced with an overlap."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from alphapulse.audit.changes import record_change
from alphapulse.clock import Clock
from alphapulse.domain.access import SigningKey
from alphapulse.domain.tenancy import PLATFORM
from alphapulse.ports.database import Database, Row, Transaction
from alphapulse.sealing import Seal
from alphapulse.tenancy import signing_store as store
from alphapulse.tenancy.tokens import AHEAD, Signer, SignerKey, jwk, thumbprint

#: Another replica's rotation is seen after at most this long.
_RELOAD_S = 3.0
#: At most so often for tokens that name a key we do not know.
_RELOAD_UNKNOWN_S = 0.5
#: A new key is published this long before it signs: every replica, and who reads the JWKS, knows it by then.
PUBLISHED_BEFORE = timedelta(seconds=60)
_KEEP_RETIRED = timedelta(days=30)


class SigningKeys:
    """token_lifetime: how long what an old key signed must still be accepted. signer: with the keys last read."""

    def __init__(self, *, database: Database, clock: Clock, seal: Seal, token_lifetime: timedelta) -> None:
        self.signer = Signer()
        self._database = database
        self._clock = clock
        self._seal = seal
        self._token_lifetime = token_lifetime
        self._loaded = -_RELOAD_S

    async def ready(self, key_id: str | None = None) -> Signer:
        """The signer with keys that are not older than some seconds. key_id: one that a token names.

        Makes the first key of this database. Raises Misconfigured when another master key sealed them.
        """
        age = time.monotonic() - self._loaded
        unknown = key_id is not None and not self.signer.knows(key_id)
        if age >= _RELOAD_S or (unknown and age >= _RELOAD_UNKNOWN_S):
            await self._load()
        return self.signer

    async def list_keys(self) -> list[SigningKey]:
        """The newest first; retired ones for thirty days."""
        async with self._database.shared() as tx:
            rows = await store.list_keys(tx)
        return [_shown(row) for row in rows]

    async def rotate(self, *, actor: str, at_once: bool = False) -> SigningKey:
        """A new key. It signs after a minute, and what the old ones signed stays good until it has expired.

        at_once: the old ones are known to others: nothing they signed is accepted from now on, here at once and on
        other replicas after 3 s. Log-ins survive it: a refresh token is good for a token of the new key.
        """
        now = self._clock.now()
        since = now if at_once else now + PUBLISHED_BEFORE
        async with self._database.shared() as tx:
            await store.lock(tx)
            made = await self._make(tx, now, since)
            await store.retire_others(tx, made, now if at_once else since + self._token_lifetime + AHEAD)
            await store.delete_retired(tx, now - _KEEP_RETIRED)
            await record_change(
                tx,
                actor=actor,
                action="signing_key.rotated",
                subject=made,
                before=None,
                after={"active_from": since, "at_once": at_once},
                at=now,
                tenant_id=PLATFORM,
            )
        await self._load()
        return next(key for key in await self.list_keys() if key.id == made)

    async def published(self) -> dict[str, list[dict[str, str]]]:
        """The JWKS (RFC 7517) of every key whose signatures are, or soon will be, accepted."""
        now = self._clock.now()
        async with self._database.shared() as tx:
            rows = await store.list_keys(tx)
        good = [row for row in rows if row["retires_at"] is None or row["retires_at"] > now]
        return {"keys": [jwk(row["id"], row["public_key"]) for row in good]}

    async def _load(self) -> None:
        async with self._database.shared() as tx:
            rows = await store.list_keys(tx)
            if not rows:
                await store.lock(tx)
                now = self._clock.now()
                if not await store.list_keys(tx):  # another replica's first start may have been faster
                    await self._make(tx, now, now - AHEAD)
                rows = await store.list_keys(tx)
        self.signer.use([self._opened(row) for row in rows])
        self._loaded = time.monotonic()

    async def _make(self, tx: Transaction, at: datetime, since: datetime) -> str:
        private = Ed25519PrivateKey.generate()
        public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        key_id = thumbprint(public)
        sealed = self._seal.seal(private.private_bytes_raw(), _context(key_id))
        await store.insert(tx, key_id, public=public, sealed=sealed, at=at, since=since)
        return key_id

    def _opened(self, row: Row) -> SignerKey:
        opened = self._seal.open(row["sealed_private_key"], _context(row["id"]))
        private = Ed25519PrivateKey.from_private_bytes(opened)
        return SignerKey(row["id"], private, row["active_from"], row["retires_at"])


def _context(key_id: str) -> str:
    return f"signing_key:{key_id}"


def _shown(row: Row) -> SigningKey:
    return SigningKey(row["id"], row["created_at"], row["active_from"], row["retires_at"])
