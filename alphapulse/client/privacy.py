"""A copy of everything a tenant holds, and its end."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from alphapulse.client.connection import LONG, Connection, Page, read
from alphapulse.domain.privacy import AccountStanding, CertificateCheck, Export, ExportState
from alphapulse.domain.tenancy import Tenant
from alphapulse.errors import Conflict, InvalidInput, Unavailable

#: Seconds between two looks at an export.
_LOOK_EVERY = 0.5
_ATTEMPTS = 5
_BLOCK = 1_048_576
_PARTIAL = 206

Moved = Callable[[int, int], None]


class PrivacyCalls:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def account(self) -> AccountStanding:
        return read(AccountStanding, self._connection.get("/account"))

    def delete(self, confirm: str, reason: str | None = None, *, acknowledge_positions: bool = False) -> Tenant:
        """confirm: the tenant's slug, typed."""
        body: dict[str, object] = {"confirm": confirm, "acknowledge_positions": acknowledge_positions}
        if reason is not None:
            body["reason"] = reason
        return read(Tenant, self._connection.request("DELETE", "/account", body=body))

    def restore(self, reason: str | None = None) -> Tenant:
        return read(Tenant, self._connection.post("/account/restore", {} if reason is None else {"reason": reason}))

    def begin(self) -> Export:
        return read(Export, self._connection.post("/exports"))

    def exports(self) -> Page[Export]:
        return self._connection.page(Export, "/exports")

    def export(self, export_id: UUID) -> Export:
        return read(Export, self._connection.get(f"/exports/{export_id}"))

    def wait(self, export: Export, moved: Callable[[Export], None] = lambda _: None) -> Export:
        """Until it is ready. Raises Conflict when it failed."""
        while export.state in {ExportState.QUEUED, ExportState.RUNNING}:
            moved(export)
            time.sleep(_LOOK_EVERY)
            export = self.export(export.id)
        if export.state is not ExportState.READY:
            raise Conflict(f"export {export.id} is {export.state}: {export.error}", fix="Begin a new one.")
        return export

    def download(self, export: Export, file: Path, moved: Moved | None = None) -> None:
        """Fetch the zip into ``file``; goes on where an earlier call broke off. moved: bytes done, of how many.

        Raises Unavailable when the connection breaks again and again; what has arrived is kept then.
        """
        part = file.with_name(f".{file.name}.{export.sha256[:16]}.part")
        for attempt in range(_ATTEMPTS):
            try:
                self._fetch(export, part, moved or _untold)
                break
            except Unavailable:
                if attempt == _ATTEMPTS - 1:
                    raise
        if _digest(part) != export.sha256:
            part.unlink()
            raise Unavailable(f"export {export.id} arrived damaged", fix="Fetch it again.")
        part.replace(file)

    def check(self, statement: str, signature: str) -> CertificateCheck:
        body = {"statement": statement, "signature": signature}
        return read(CertificateCheck, self._connection.post("/certificates/check", body))

    def _fetch(self, export: Export, part: Path, moved: Moved) -> None:
        done = part.stat().st_size if part.exists() else 0
        if done == export.size:
            return
        headers = {"Range": f"bytes={done}-", "If-Range": f'"{export.sha256}"'} if done else {}
        with self._connection.streamed(f"/exports/{export.id}/file", headers, timeout=LONG) as response:
            resumed = response.status_code == _PARTIAL
            done = done if resumed else 0
            try:
                with part.open("ab" if resumed else "wb") as out:
                    part.chmod(0o600)
                    for block in response.iter_bytes(_BLOCK):
                        out.write(block)
                        done += len(block)
                        moved(done, export.size)
            except OSError as error:
                raise InvalidInput(
                    f"{part}: cannot be written: {error.strerror}", fix="Name another file with --file."
                ) from error
        if done != export.size:
            raise Unavailable(f"export {export.id}: {done:,} of {export.size:,} bytes arrived")


def _untold(done: int, total: int) -> None:
    """Nobody watches."""


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
