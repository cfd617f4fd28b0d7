"""Words and examples of the attestations' schema."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample

ATTESTATION = (
    "An in-toto statement v1 in a DSSE envelope, signed with the Ed25519 key of this "
    "installation (`GET /attestation-key`). Its subject is the target's `digest`; its "
    "predicate holds verdict, policy, scanners with tool versions, lock digests and "
    "coverage, waivers, and until when all of it holds. The same scan has always the "
    "same attestation. 409 while the scan is not finished, where it has no verdict on "
    "any bytes, and after a waiver that the verdict rests on has ended. "
    "`sentrascan verify` checks it offline; `docs/attestation.md` describes it."
)
_KEY_ID = "d1c1f4b2a4f8a3e99b3ed5a5e0b7b1bd0a3e02dc7db0aaf6a0a7d3a1c0d7d5a2"
ENVELOPES = [
    OpenApiExample(
        "An envelope; the payload is the statement in base64",
        {
            "payload": "eyJfdHlwZSI6Imh0dHBzOi8vaW4tdG90by5pby9TdGF0ZW1lbnQvdjEi...",
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [
                {
                    "keyid": _KEY_ID,
                    "sig": "3Zl2nXy0b0bS0sYq1dWc0F5sZ8u4m6o1Zt9kqj7x...",
                }
            ],
        },
        response_only=True,
        status_codes=["200"],
    ),
]
KEYS = [
    OpenApiExample(
        "The key, for `sentrascan verify --key`",
        {
            "keyid": _KEY_ID,
            "algorithm": "ed25519",
            "public_key": "-----BEGIN PUBLIC KEY-----\n"
            "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
            "-----END PUBLIC KEY-----\n",
        },
        response_only=True,
        status_codes=["200"],
    ),
]
