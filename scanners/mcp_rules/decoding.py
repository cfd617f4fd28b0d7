"""Parts of a text that are written in a code, and what they say. Standard library only.

Only what decodes to words or commands is of interest: pictures, digests, identifiers
and tokens decode to nothing that a model would follow.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import html
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote

from scanners.mcp_rules.tokens import unbroken

MIN_LENGTH = 9  # characters; nothing shorter is in any of these codes
MIN_UNBROKEN = 16  # characters; nothing shorter is in those that have no blanks

BASE64, HEX, PERCENT = "decoded from base64", "decoded from hexadecimal", "URL-decoded"
ESCAPES, ENTITIES = "decoded from escapes", "decoded from HTML entities"
ROT13, BACKWARDS, SPACED = "decoded by ROT13", "read backwards", "spaces taken out"
NUMBERS, BITS, BASE85 = (
    "decoded from numbers",
    "decoded from bits",
    "decoded from base85",
)
BASE32, DIGITS = "decoded from base32", "digits read as letters"
TAGS, SELECTORS = "spelt in tag characters", "spelt in variation selectors"
ZERO_WIDTH, TURNED = "spelt in zero-width characters", "turned by a bidi override"

# The runs do not begin inside a longer one: each character is looked at once.
_BASE64 = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{16,}={0,2}(?![\w+/])")
# A pattern that begins with a letter of a set is looked for far faster than one that
# begins by looking back.
_HEX = re.compile(
    r"[0-9a-fA-F](?<![0-9a-fA-F]{2})(?:(?<=0)x(?:[0-9a-fA-F]{2}){10,}"
    r"|[0-9a-fA-F](?:(?:[0-9a-fA-F]{2}){9,}"
    r"|[ :](?:[0-9a-fA-F]{2}[ :]){8,}[0-9a-fA-F]{2}))(?![0-9a-fA-F])"
)
_PERCENT = re.compile(r"[^\s%]{0,40}(?:%[0-9A-Fa-f]{2}[^\s%]{0,40}){3,}")
_ESCAPES = re.compile(
    r"(?:\\u[0-9a-fA-F]{4}|\\u\{[0-9a-fA-F]{1,6}\}|\\x[0-9a-fA-F]{2}|\\[0-7]{3}){4,}"
)
_ENTITIES = re.compile(r"(?:&#x?[0-9a-fA-F]{1,7};\s?){4,}")
_NUMBERS = re.compile(r"(?<![\d.])\d{2,3}(?:[ ,]{1,2}\d{2,3}){11,}(?![\d.])")
_SPACED = re.compile(
    r"[A-Za-z'](?=[ ._*-])(?<!\S.)(?: {1,4}|[-._*])"
    r"(?:[A-Za-z'](?: {1,4}|[-._*])){6,}[A-Za-z](?!\S)"
)
_BITS = re.compile(r"(?<![\w.])[01]{8}(?:[ ,]?[01]{8}){7,}(?![\w.])")
_ASCII85 = re.compile(r"<~[!-uz\s]{20,2000}~>")
_BASE85 = re.compile(r"(?<!\S)[0-9A-Za-z!#$%&()*+;<=>?@^_`{|}~-]{40,4000}(?!\S)")
_BASE32 = re.compile(r"(?<![\w=])[A-Z2-7]{24,4000}={0,6}(?![\w=])")
# Digits between two letters stand in every text that is written so.
_MIXED = re.compile(r"[013457](?<=[A-Za-z].)[A-Za-z]")
_AS_LETTERS = str.maketrans("013457", "oieast")
_LETTERS = re.compile(r"[A-Za-z]{2,}")
_COMMON = frozenset(
    {"the", "and", "you", "your", "this", "that", "must", "with", "before", "after"}
    | {"ignore", "instructions", "read", "send", "file", "user", "tell", "not", "all"}
    | {"previous", "into", "system", "run", "use", "pass", "content", "prompt"}
)
_ROT13 = frozenset(codecs.encode(word, "rot13") for word in _COMMON) - _COMMON
_REVERSED = frozenset(word[::-1] for word in _COMMON) - _COMMON
_SMALL = bytes(
    ord(c.lower()) if c.isalpha() and c < "\x80" else 32 for c in map(chr, range(256))
)


@dataclass(frozen=True, slots=True)
class Part:
    """What stands at text[start:end], decoded."""

    text: str
    how: str
    start: int
    end: int


def decoded(text: str) -> Iterator[Part]:
    """Yield the parts of `text` that are written in a code and decode to words."""
    if len(text) < MIN_LENGTH:
        return
    parts = unbroken(text, MIN_UNBROKEN)
    digits = (
        sum(map(text.count, "0123456789"))
        if text.isascii()
        else sum(map(str.isdecimal, text))
    )
    for code in _CODES:
        # Without its mark, or its digits, there is no such code to look for.
        if digits < code.digits or code.mark not in text:
            continue
        if code.pattern.search(text if code.has_blanks else parts) is None:
            continue
        if not code.has_blanks and not any(_read(code, parts)):
            continue
        for match, said in _read(code, text):
            yield Part(said, code.how, match.start(), match.end())
    yield from _whole(text)


def _read(code: _Code, text: str) -> Iterator[tuple[re.Match[str], str]]:
    for match in code.pattern.finditer(text):
        said = code.decode(match[0])
        if said is not None and says_something(said):
            yield match, said


def _whole(text: str) -> Iterator[Part]:
    """Yield the whole text decoded where its words are words only then."""
    words = _words(text)
    if len(words & _ROT13) >= 3:
        yield Part(codecs.encode(text, "rot13"), ROT13, 0, len(text))
    if len(words & _REVERSED) >= 3:
        yield Part(text[::-1], BACKWARDS, 0, len(text))
    if len(_MIXED.findall(text)) >= 2:
        said = text.translate(_AS_LETTERS)
        if len((_words(said) - words) & _COMMON) >= 2:
            yield Part(said, DIGITS, 0, len(text))


def _words(text: str) -> set[str]:
    """Return the words of letters without accents in `text`, in small letters."""
    # By way of bytes in half the time of a pattern.
    small = text.encode("ascii", "replace").translate(_SMALL)
    return set(small.decode("ascii").split())


def says_something(text: str) -> bool:
    """Whether `text` holds words or a command, and hardly anything else."""
    if len(text) < 6:
        return False
    letters = sum(len(word) for word in _LETTERS.findall(text))
    shown = sum(char.isprintable() or char in "\n\t\r" for char in text)
    if shown < len(text):
        return False
    if text.isascii():
        if " " not in text and "/" not in text and "=" not in text:
            # Random bytes that happen to be printable have no run of letters.
            return letters >= 16 and letters >= 0.8 * len(text)
        return letters >= 0.5 * len(text)
    return sum(char.isalpha() or char.isspace() for char in text) >= 0.8 * len(text)


def _text_of(data: bytes) -> str | None:
    for encoding in ("utf-8", "utf-16-le"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if (encoding == "utf-8" or text.isascii()) and "\0" not in text:
            return text
    return None


def _from_base64(run: str) -> str | None:
    plain = run.replace("-", "+").replace("_", "/").rstrip("=")
    if len(plain) % 4 == 1:
        return None
    try:
        data = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error:
        return None
    return _text_of(data)


def _from_hex(run: str) -> str | None:
    digits = run.removeprefix("0x").replace(" ", "").replace(":", "")
    try:
        return _text_of(bytes.fromhex(digits))
    except ValueError:
        return None


def _from_escapes(run: str) -> str | None:
    codes = re.findall(r"\\u\{?([0-9a-fA-F]+)\}?|\\x([0-9a-fA-F]{2})|\\([0-7]{3})", run)
    points = [int(a or b, 16) if a or b else int(c, 8) for a, b, c in codes]
    if any(point > 0x10FFFF or 0xD800 <= point < 0xE000 for point in points):
        return None
    return "".join(map(chr, points))


def _from_percent(run: str) -> str | None:
    text = unquote(run, errors="replace")
    return None if "\ufffd" in text or " " not in text else text


def _from_numbers(run: str) -> str | None:
    points = [int(number) for number in re.findall(r"\d+", run)]
    if not all(32 <= point < 127 for point in points):
        return None
    return "".join(map(chr, points))


def _from_bits(run: str) -> str | None:
    bits = run.replace(" ", "").replace(",", "")
    points = [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]
    return "".join(map(chr, points)) if all(32 <= p < 127 for p in points) else None


def _from_base32(run: str) -> str | None:
    plain = run.rstrip("=")
    try:
        return _text_of(base64.b32decode(plain + "=" * (-len(plain) % 8)))
    except binascii.Error:
        return None


def _from_ascii85(run: str) -> str | None:
    try:
        return _text_of(base64.a85decode(run, adobe=True))
    except ValueError:
        return None


def _from_base85(run: str) -> str | None:
    try:
        return _text_of(base64.b85decode(run))
    except ValueError:
        return None


def _from_spaced(run: str) -> str | None:
    words = re.split(r"(?<=\S)  +(?=\S)", run)
    return " ".join(re.sub(r"[ \-._*]", "", word) for word in words)


class _Code(NamedTuple):
    """One code: how it looks, how it is read, and what stands in all that has it."""

    how: str
    pattern: re.Pattern[str]
    decode: Callable[[str], str | None]
    mark: str = ""
    digits: int = 0
    has_blanks: bool = True


_CODES = (
    _Code(BASE64, _BASE64, _from_base64, has_blanks=False),
    # Each letter's code has a digit in nearly all scripts: ten letters have nine.
    _Code(HEX, _HEX, _from_hex, digits=9),
    _Code(PERCENT, _PERCENT, _from_percent, "%"),
    _Code(ESCAPES, _ESCAPES, _from_escapes, "\\"),
    _Code(ENTITIES, _ENTITIES, html.unescape, "&#"),
    _Code(NUMBERS, _NUMBERS, _from_numbers, digits=24),
    _Code(SPACED, _SPACED, _from_spaced),
    _Code(BITS, _BITS, _from_bits, digits=64),
    _Code(BASE85, _ASCII85, _from_ascii85, "<~"),
    _Code(BASE85, _BASE85, _from_base85, has_blanks=False),
    _Code(BASE32, _BASE32, _from_base32, has_blanks=False),
)


def _from_tags(run: str) -> str:
    return "".join(chr(ord(c) - 0xE0000) for c in run if ord(c) > 0xE001).strip("\x7f")


def _from_selectors(run: str) -> str:
    data = bytes(
        ord(c) - 0xFE00 if c <= "\ufe0f" else min(ord(c) - 0xE0100 + 16, 255)
        for c in run
    )
    return _text_of(data) or ""


def _from_zero_width(run: str) -> str:
    """Two characters are bits; which is which nobody knows."""
    used = sorted(set(run))
    if len(used) != 2:
        return ""
    for zero, one in (used, used[::-1]):
        bits = run.replace(zero, "0").replace(one, "1")
        whole = len(bits) // 8 * 8
        data = bytes(int(bits[at : at + 8], 2) for at in range(0, whole, 8))
        text = _text_of(data)
        if text and text.isprintable():
            return text
    return ""


SPELT: Mapping[str, Callable[[str], str]] = {
    TAGS: _from_tags,
    SELECTORS: _from_selectors,
    ZERO_WIDTH: _from_zero_width,
    TURNED: lambda run: run[::-1],
}
