"""Certificates of erasure: signed with a key that follows from the master key, so that old ones stay provable."""

from __future__ import annotations

import json

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from alphapulse.domain import wire
from alphapulse.domain.privacy import Certificate, CertificateCheck, SignedCertificate
from alphapulse.errors import InvalidInput
from alphapulse.sealing import Seal

_PURPOSE = "certificates of erasure"


class Certificates:
    """Signs and proves. Any daemon with the same master key proves what another signed."""

    def __init__(self, seal: Seal) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seal.derived(_PURPOSE))

    def sign(self, certificate: Certificate) -> SignedCertificate:
        statement = json.dumps(wire.encode(certificate), sort_keys=True)
        return SignedCertificate(
            statement=statement,
            signature=self._key.sign(statement.encode()).hex(),
            public_key=self._key.public_key().public_bytes_raw().hex(),
        )

    def check(self, statement: str, signature: str) -> CertificateCheck:
        """Whether this platform signed it. What cannot be read is not genuine either."""
        try:
            self._key.public_key().verify(bytes.fromhex(signature), statement.encode())
            certificate = wire.decode(Certificate, json.loads(statement))
        except (InvalidSignature, InvalidInput, ValueError):
            return CertificateCheck(genuine=False)
        return CertificateCheck(genuine=True, certificate=certificate)


def written(signed: SignedCertificate) -> str:
    """For people to keep: what it says, and below it the lines that prove it."""
    certificate = wire.decode(Certificate, json.loads(signed.statement))
    lines = [
        f"Tenant       {certificate.tenant_id}",
        f"Requested    {wire.write_time(certificate.requested_at)}",
        f"Erased       {wire.write_time(certificate.erased_at)}",
        "",
        "Erased:",
        *(f"  {each.what}: {each.amount}" for each in certificate.erased),
        "",
        "Kept:",
        *(f"  {each.what}: {each.why}" for each in certificate.kept),
        "",
        f"Statement    {signed.statement}",
        f"Signature    {signed.signature}",
        f"Public key   {signed.public_key}",
    ]
    return "\n".join(lines)
