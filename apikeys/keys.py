"""What a key looks like, and how it is known again.

`ssk_<8 public id>_<32 secret><6 checksum>`, all base62; underscores only, so that a
double click selects it whole. The checksum is the CRC-32 of all before it: a mistyped
key, and a stranger's guess, cost no database read. The public id finds the row; only
the SHA-256 of the secret is kept (190 random bits need no slow hash).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass, field

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
PUBLIC_ID_LENGTH = 8
SECRET_LENGTH = 32
CHECKSUM_LENGTH = 6
_FORM = re.compile(
    rf"(ssk_([0-9A-Za-z]{{{PUBLIC_ID_LENGTH}}})_([0-9A-Za-z]{{{SECRET_LENGTH}}}))"
    rf"([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})"
)


@dataclass(frozen=True, slots=True)
class PlainKey:
    """A key in clear text: lives in memory only, and keeps its secret out of reprs."""

    public_id: str
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        body = f"ssk_{self.public_id}_{self.secret}"
        return body + checksum(body)

    @property
    def digest(self) -> str:
        """SHA-256 of the secret as 64 hexadecimal digits."""
        return hashlib.sha256(self.secret.encode("ascii")).hexdigest()

    def has_digest(self, digest: str) -> bool:
        """Compare with a stored digest in constant time."""
        return hmac.compare_digest(self.digest, digest)


def generate() -> PlainKey:
    return PlainKey(_random(PUBLIC_ID_LENGTH), _random(SECRET_LENGTH))


def parse(text: str) -> PlainKey | None:
    """Return the parts of a key, or None for what cannot be one (form or checksum)."""
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    body, public_id, secret, check = match.groups()
    if not hmac.compare_digest(checksum(body), check):
        return None
    return PlainKey(public_id, secret)


def checksum(body: str) -> str:
    """CRC-32 (as in zlib) of the ASCII text, base62, most significant digit first."""
    rest = zlib.crc32(body.encode("ascii"))
    digits = ""
    for _ in range(CHECKSUM_LENGTH):
        rest, digit = divmod(rest, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
