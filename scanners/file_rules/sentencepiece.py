"""SentencePiece models: one protobuf message, read to its last byte.

Fields as in google/sentencepiece, src/sentencepiece_model.proto: ModelProto has
pieces 1, trainer_spec 2, normalizer_spec 3, self_test_data 4, denormalizer_spec 5.
Wire format as in protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanners.file_rules.outcome import UNCLAIMED, Outcome, Status

FORMAT = "SentencePiece model"
MAX_BYTES = 64 << 20

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
PIECES, SPECS = 1, frozenset({2, 3, 4, 5})
PIECE_TEXT, PIECE_SCORE, PIECE_TYPE = 1, 2, 3
PIECE_TYPES = range(1, 7)  # normal, unknown, control, user-defined, unused, byte
# The only free bytes of the format: normalizer_spec.precompiled_charsmap.
NORMALIZERS, CHARSMAP = frozenset({3, 5}), 2

type Field = tuple[int, int, int | memoryview]


class NotProtobufError(ValueError):
    """The bytes are not a message of this format."""


def examine(raw: bytes) -> Outcome:
    """Examine a whole file that may be a SentencePiece model."""
    pieces = 0
    try:
        for number, wire, value in fields(memoryview(raw)):
            if not isinstance(value, memoryview) or wire != BYTES:
                return UNCLAIMED
            if number == PIECES:
                pieces += 1
                _check_piece(value)
            elif number in SPECS:
                _check_spec(number, value)
            else:
                return UNCLAIMED
    except NotProtobufError:
        return UNCLAIMED
    if pieces < 2:
        return UNCLAIMED
    return Outcome(Status.SCANNED, FORMAT, is_identified=True)


def fields(message: memoryview) -> Iterator[Field]:
    """Yield (number, wire type, value); raise `NotProtobufError` on a broken one."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, at = _varint(message, at)
            yield number, wire, value
            continue
        size = {FIXED64: 8, FIXED32: 4}.get(wire, 0)
        if wire == BYTES:
            size, at = _varint(message, at)
        if not number or wire not in (FIXED64, FIXED32, BYTES):
            raise NotProtobufError(f"wire type {wire}")
        if at + size > len(message):
            raise NotProtobufError("cut off")
        yield number, wire, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(message):
            raise NotProtobufError("cut off")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise NotProtobufError("a number of more than 64 bits")


def _check_piece(piece: memoryview) -> None:
    has_text = False
    for number, wire, value in fields(piece):
        if (number, wire) == (PIECE_TEXT, BYTES) and isinstance(value, memoryview):
            has_text = bool(_text(value)) or has_text
        elif (number, wire) == (PIECE_SCORE, FIXED32) and isinstance(value, memoryview):
            struct.unpack("<f", value)
        elif (number, wire, value in PIECE_TYPES) != (PIECE_TYPE, VARINT, True):
            raise NotProtobufError("not a piece")
    if not has_text:
        raise NotProtobufError("a piece without text")


def _check_spec(number: int, spec: memoryview) -> None:
    for inner, wire, value in fields(spec):
        is_charsmap = number in NORMALIZERS and inner == CHARSMAP
        if wire == BYTES and isinstance(value, memoryview) and not is_charsmap:
            _text(value)


def _text(value: memoryview) -> str:
    try:
        return bytes(value).decode("utf-8")
    except UnicodeDecodeError:
        raise NotProtobufError("a text that is not UTF-8") from None
