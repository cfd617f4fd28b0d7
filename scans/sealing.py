"""The installation key: what is stored encrypted, signed or digested rests on it.

One key for an installation, made once in a file of the data directory and independent
of `SENTRASCAN_SECRET`, which may be changed at any time. Nobody uses the key itself:
each purpose has its own, derived from it (HKDF, RFC 5869).

The database knows the key's digest from its first use on. From then on rows need it, so
one that is gone or another is an error that says what to do, never a new key.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import logging
import os
import secrets
from enum import StrEnum
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import transaction

from apikeys import audit
from apikeys.audit import Actor
from apikeys.choices import ActorKind
from scans.models import InstallationKey

logger = logging.getLogger(__name__)

KEY_BYTES = 32
NONCE_BYTES = 12  # NIST SP 800-38D, 8.2.2: random, for at most 2**32 sealings
VERSION = b"\x01"
INSTALLATION = Actor(ActorKind.SYSTEM, "installation")
OTHER = "is not the one that was in use before"
HELP = (
    "Put it back from a backup. Only if it is lost for good: DELETE FROM "
    "installation_key makes room for a new one; what the old one encrypted is then "
    "lost, and what it signed no longer verifies here"
)


class Purpose(StrEnum):
    """What a derived key is for. A label is for ever: another one is another key."""

    HEADERS = "sentrascan request headers v1"
    DIGESTS = "sentrascan digests of masked values v1"
    ATTESTATION = "sentrascan attestation v1"
    IDENTITY = "sentrascan identity of the installation key v1"


class KeyLost(Exception):
    """Rows need an installation key that is not there; the message says what helps."""


class Unreadable(ValueError):
    """What was sealed cannot be opened: another key, another purpose or place."""


def installation_key() -> bytes:
    """Return the 32 bytes of this installation's key, made if nothing needs one yet.

    Costs one small file and one query; nothing is kept, so that a restored key is seen
    at once. Raises `KeyLost`.
    """
    path = Path(settings.INSTALLATION_KEY_PATH)
    known = InstallationKey.objects.values_list("key_id", flat=True).first()
    key = read_key(path)
    if key is None and known is not None:
        raise KeyLost(_advice(path, "is missing"))
    if key is None:
        key = _made(path)
    identity = identity_of(key)
    if known is None:
        known = _noted(identity)
    if identity != known:
        raise KeyLost(_advice(path, OTHER))
    return key


def state() -> str:
    """Say in words how it is with the key; nothing is made. Raises `KeyLost`."""
    path = Path(settings.INSTALLATION_KEY_PATH)
    known = InstallationKey.objects.values_list("key_id", flat=True).first()
    if known is None:
        return "nothing needed one yet"
    key = read_key(path)
    if key is None:
        raise KeyLost(_advice(path, "is missing"))
    if identity_of(key) != known:
        raise KeyLost(_advice(path, OTHER))
    return f"the one with the id {known[:12]}"


def derived(purpose: Purpose) -> bytes:
    """Return the 32 bytes that are for `purpose` alone; raise `KeyLost`."""
    return _derived(installation_key(), purpose)


def seal(plain: bytes, purpose: Purpose, *, place: str) -> bytes:
    """Encrypt for `purpose`; only who names the same `place` can open it again.

    AES-256-GCM over a random nonce. Raises `KeyLost`.
    """
    nonce = secrets.token_bytes(NONCE_BYTES)
    sealed = AESGCM(derived(purpose)).encrypt(nonce, plain, place.encode())
    return VERSION + nonce + sealed


def unseal(sealed: bytes, purpose: Purpose, *, place: str) -> bytes:
    """Return what was sealed; raise `Unreadable` or `KeyLost`."""
    version, rest = sealed[:1], sealed[1:]
    nonce, text = rest[:NONCE_BYTES], rest[NONCE_BYTES:]
    if version != VERSION or len(nonce) < NONCE_BYTES:
        raise Unreadable("this was not sealed here")
    try:
        return AESGCM(derived(purpose)).decrypt(nonce, text, place.encode())
    except InvalidTag as error:
        raise Unreadable("this was sealed with another key or elsewhere") from error


def identity_of(key: bytes) -> str:
    """Return the id under which the database knows an installation key."""
    return _derived(key, Purpose.IDENTITY).hex()


def _noted(identity: str) -> str:
    """Note which key rows rest on from now on; return the one that is noted."""
    with transaction.atomic():
        row, is_new = InstallationKey.objects.get_or_create(
            defaults={"key_id": identity}
        )
        if is_new:
            audit.record(
                "installation_key.use",
                actor=INSTALLATION,
                object_type="installation_key",
                object_id=str(row),
            )
    return row.key_id


def _derived(key: bytes, purpose: Purpose) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=purpose.encode()).derive(key)


def read_key(path: Path) -> bytes | None:
    """Return the key in `path`, None where there is no such file.

    Raises `KeyLost` for a file that cannot be read or holds no key.
    """
    try:
        key = base64.b64decode(path.read_bytes().strip(), validate=True)
    except FileNotFoundError:
        return None
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        raise KeyLost(_advice(path, what)) from error
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyLost(_advice(path, "holds no key"))
    return key


def _made(path: Path) -> bytes:
    """Write a new key; of several processes at their first start one is the author.

    On the disk before anybody uses it: what it seals must not outlive it.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    text = base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
            logger.info("Made the installation key %s: back it up", path)
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    key = read_key(path)
    if key is None:
        raise KeyLost(_advice(path, "was removed as soon as it was made"))
    return key


def _advice(path: Path, what: str) -> str:
    return f"The installation key {path} {what}. {HELP}"
