"""DSSE v1: bytes with their type under an Ed25519 signature. Pure.

Specification: github.com/secure-systems-lab/dsse, protocol 1.0.2. What is signed is the
very payload with its type, so nothing has to be canonical to be checked.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from scanners import strict_json

ALGORITHM = "ed25519"
MAX_SIGNATURES = 20

type Document = dict[str, Any]


class NotSigned(Exception):
    """No signature of this key is on it."""


class Unreadable(ValueError):
    """This is no envelope, or no public key; the message says why."""


def signed(payload: bytes, payload_type: str, key: Ed25519PrivateKey) -> Document:
    """Return the envelope of `payload`, signed by `key`."""
    signature = key.sign(_encoded(payload, payload_type))
    return {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": payload_type,
        "signatures": [
            {
                "keyid": key_id(key.public_key()),
                "sig": base64.b64encode(signature).decode(),
            }
        ],
    }


def opened(raw: bytes, payload_type: str, key: Ed25519PublicKey) -> bytes:
    """Return the payload that `key` has signed.

    Raises `NotSigned` and `Unreadable`. A key id is a hint of its author's and decides
    nothing.
    """
    envelope = _object(raw)
    if envelope.get("payloadType") != payload_type:
        raise Unreadable(f"its payloadType is not {payload_type}")
    payload = _bytes(envelope.get("payload"), "payload")
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or len(signatures) > MAX_SIGNATURES:
        raise Unreadable(f"it has no list of at most {MAX_SIGNATURES} signatures")
    said = _encoded(payload, payload_type)
    for each in signatures:
        if not isinstance(each, dict):
            raise Unreadable("a signature of it is no object")
        try:
            key.verify(_bytes(each.get("sig"), "sig"), said)
        except InvalidSignature:
            continue
        return payload
    raise NotSigned


def key_id(key: Ed25519PublicKey) -> str:
    """Return what the key is called: as TUF and securesystemslib call it.

    So that who reads the key with one of those finds its signature under that name.
    """
    public = key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    named: Document = {
        "keytype": ALGORITHM,
        "keyval": {"public": public},
        "scheme": ALGORITHM,
    }
    return hashlib.sha256(rfc8785.dumps(named)).hexdigest()


def key_document(key: Ed25519PublicKey) -> Document:
    """Return the public key as it is published."""
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {"keyid": key_id(key), "algorithm": ALGORITHM, "public_key": pem.decode()}


def read_key(raw: bytes) -> Ed25519PublicKey:
    """Return the key in a PEM file or in what `/attestation-key` answered.

    Raises `Unreadable`.
    """
    pem = raw
    if raw.lstrip().startswith(b"{"):
        pem = str(_object(raw).get("public_key", "")).encode("utf-8", "replace")
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Unreadable("this is no public key in PEM form") from error
    if not isinstance(key, Ed25519PublicKey):
        raise Unreadable("this is no Ed25519 key")
    return key


def _encoded(payload: bytes, payload_type: str) -> bytes:
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _object(raw: bytes) -> Document:
    try:
        value = strict_json.parse(raw)
    except strict_json.DocumentError as error:
        raise Unreadable(error.message) from error
    if not isinstance(value, dict):
        raise Unreadable("this is no JSON object")
    return value


def _bytes(text: object, name: str) -> bytes:
    if not isinstance(text, str):
        raise Unreadable(f"it has no {name}")
    try:
        # Both alphabets of base64 are allowed (protocol 1.0.2, "Envelope").
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unreadable(f"its {name} is not base64") from error
