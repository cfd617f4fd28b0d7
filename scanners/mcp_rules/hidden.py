"""Hidden text: what a model reads and a person does not see (`MCP-HIDDEN-nnn`)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from scanners.mcp_rules import decoding
from scanners.mcp_rules.matches import Match, Span, in_text, shown
from scanners.mcp_rules.reading import INVISIBLE, WORD, Reading, unmasked_word
from scanners.mcp_rules.texts import Role, Text

TAGS = "MCP-HIDDEN-001"
OVERRIDE = "MCP-HIDDEN-002"
DIRECTION = "MCP-HIDDEN-003"
INVISIBLES = "MCP-HIDDEN-004"
STRAY = "MCP-HIDDEN-005"
SELECTORS = "MCP-HIDDEN-006"
TERMINAL = "MCP-HIDDEN-007"
CONTROLS = "MCP-HIDDEN-008"
COMMENT = "MCP-HIDDEN-009"
BLANKS = "MCP-HIDDEN-010"
STYLED = "MCP-HIDDEN-011"
NAME = "MCP-HIDDEN-012"
LETTERS = "MCP-HIDDEN-013"
LETTER = "MCP-HIDDEN-014"
FONTS = "MCP-HIDDEN-015"
ENCODED = "MCP-HIDDEN-016"

# One of these characters stands in every text that a rule for ASCII could match.
_SUSPECT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f<]|\[(?=[^\]\n]{0,40}\]:)|\s{30}")
# Markdown has no comments: a link that nothing points to is what people use.
_LINK = re.compile(
    r"(?m)^[ \t]{0,3}\[(?://|comment|hidden|_|\.|#)\]:[ \t]+(?:#|<>)[ \t]*"
    r"[(\"'](.{1,2000})"
)
_STYLE = re.compile(
    r"<[a-zA-Z][\w-]{0,20}\s[^<>]{0,300}?(?:display\s*:\s*none|visibility\s*:\s*hidden"
    r"|font-size\s*:\s*0|opacity\s*:\s*0(?![.\d])|color\s*:\s*(?:transparent|white\b"
    r"|#f{3,6}\b)|height\s*:\s*0|\shidden(?=[\s>=])|aria-hidden)[^<>]{0,300}>"
    r"(.{0,2000})",
    re.DOTALL | re.IGNORECASE,
)
# Begun at the first blank of a run and never given back: linear in any text.
_LINES = re.compile(r"(?<!\s)(?:[ \t\r]*+\n){30,}+(?=\s*+\S)")
_SPACES = re.compile(r"(?<!\s)[ \t\u00a0\u2000-\u200a\u3000]{200,}+(?=\S)")
_TERMINAL = re.compile(r"[\x1b\x9b][^\n]{0,40}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]+|\r(?!\n)(?=.)")
_TAG_RUN = re.compile("[\U000e0000-\U000e007f]+")
_FLAG = re.compile(
    "\U0001f3f4[\U000e0061-\U000e007a\U000e0030-\U000e0039]{1,8}\U000e007f"
)
_OVERRIDE = re.compile("[\u202d\u202e][^\u202c]{0,80}")
_MARK = re.compile("[\u202a\u202b\u2066-\u2068]+")
_RTL = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_SELECTOR_RUN = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,}")
# Selectors beyond the sixteenth are for ideographs and for nothing else.
_HIGH_SELECTOR = re.compile(
    "(?<![\u2e80-\ufaff\U00020000-\U0003ffff])[\U000e0100-\U000e01ef]"
)
_FONT_WORD = re.compile(
    "[\U0001d400-\U0001d7ff\uff21-\uff3a\uff41-\uff5a\u24b6-\u24e9\U0001f130-\U0001f189]{3,}"
)
# ZWJ and ZWNJ join letters of these scripts, and emoji.
_JOINED = re.compile(
    "[\u0600-\u0dff\u1780-\u18af\u200d\u2190-\u2bff\U0001f000-\U0001faff]"
)
_INVISIBLE_WORD = re.compile(
    "(?<=[A-Za-z])[\u00ad\u034f\u200b-\u200f\u2060-\u2064\ufeff\u180e]+(?=[A-Za-z])"
)
_INVISIBLE_RUN = re.compile(
    "[\u00ad\u034f\u115f\u1160\u180e\u200b-\u200f\u2060-\u206f\u2800\u3164\ufeff\uffa0"
    "\ufff0-\ufffb]{4,}"
)
# Where these letters stand, an i without its dot is a letter of the language.
_TURKISH = re.compile("[\u011e\u011f\u0130\u015e\u015f]")
_NAMES = (Role.NAME, Role.PARAMETER)


def is_suspect(together: str) -> bool:
    """Whether anything in `together` could be hidden other than by a code."""
    return bool(_SUSPECT.search(together)) or not together.isascii()


def find(text: Text, readings: Sequence[Reading]) -> Iterator[Match]:
    """Yield what is hidden in `text`."""
    value = text.value
    if _SUSPECT.search(value):
        yield from _in_ascii(text)
    if not value.isascii():
        yield from _in_unicode(text)
    yield from _encoded(text, readings)


def _in_ascii(text: Text) -> Iterator[Match]:
    value = text.value
    for rule, pattern, sign in (
        (TERMINAL, _TERMINAL, "terminal escape"),
        (CONTROLS, _CONTROL, "control characters"),
        (BLANKS, _LINES, "blank lines before more text"),
        (BLANKS, _SPACES, "blanks before more text"),
    ):
        if spans := _spans(pattern, value, sign):
            yield in_text(rule, text, spans, key=sign)
    comments = [
        Span(start, end, "comment", shown(said))
        for start, end, said in _comments(value)
        if len(WORD.findall(said)) >= 3
    ]
    if comments:
        yield in_text(COMMENT, text, comments, key="comment")
    for rule, pattern, sign in (
        (COMMENT, _LINK, "comment of Markdown"),
        (STYLED, _STYLE, "styled so that it is not seen"),
    ):
        spans = [
            Span(match.start(), match.end(), sign, shown(match[1]))
            for match in pattern.finditer(value)
            if len(WORD.findall(match[1])) >= 3
        ]
        if spans:
            yield in_text(rule, text, spans, key=sign)


def _comments(value: str) -> Iterator[tuple[int, int, str]]:
    """Yield the comments of HTML; one that is never closed goes on to the end."""
    start = value.find("<!--")
    while start >= 0:
        end = value.find("-->", start + 4)
        if end < 0:
            yield start, len(value), value[start + 4 :]
            return
        yield start, end + 3, value[start + 4 : end]
        start = value.find("<!--", end)


def _spans(pattern: re.Pattern[str], value: str, sign: str) -> list[Span]:
    return [
        Span(match.start(), match.end(), sign, _around(value, match))
        for match in pattern.finditer(value)
    ]


def _around(value: str, match: re.Match[str]) -> str:
    """Return what is to be shown: of what shows nothing, what follows it."""
    said = shown(match[0])
    return said or shown(value[match.end() : match.end() + 100])


def _in_unicode(text: Text) -> Iterator[Match]:
    value = text.value
    flags = [match.span() for match in _FLAG.finditer(value)]
    read = decoding.SPELT[decoding.TAGS]
    tags = [
        Span(*match.span(), "tag characters", shown(read(match[0])))
        for match in _TAG_RUN.finditer(value)
        if not any(start <= match.start() < end for start, end in flags)
    ]  # fmt: skip
    if tags:
        yield in_text(TAGS, text, tags, key="tags")
    if spans := _spans(_OVERRIDE, value, "override"):
        yield in_text(OVERRIDE, text, spans, key="override")
    elif not _RTL.search(value) and (spans := _spans(_MARK, value, "mark")):
        yield in_text(DIRECTION, text, spans, key="direction")
    runs = [*_SELECTOR_RUN.finditer(value), *_HIGH_SELECTOR.finditer(value)]
    if runs:
        decode = decoding.SPELT[decoding.SELECTORS]
        spans = [
            Span(*match.span(), "variation selectors", shown(decode(match[0])))
            for match in runs
        ]
        yield in_text(SELECTORS, text, spans, key="selectors")
    yield from _invisible(text)
    yield from _look_alikes(text)


def _invisible(text: Text) -> Iterator[Match]:
    value = text.value
    in_words = _spans(_INVISIBLE_WORD, value, "inside a word")
    runs = _spans(_INVISIBLE_RUN, value, "a run of invisible characters")
    is_name = text.role in _NAMES and bool(INVISIBLE.search(value))
    if runs or len(in_words) >= 3 or (is_name and not _JOINED.search(value)):
        spans = runs or in_words or _spans(INVISIBLE, value, "in a name")
        yield in_text(INVISIBLES, text, spans, key="invisible")
    elif in_words:
        yield in_text(STRAY, text, in_words, key="invisible")


def _look_alikes(text: Text) -> Iterator[Match]:
    value = text.value
    is_turkish = bool(_TURKISH.search(value))
    mixed = [
        Span(*match.span(), "letters that look alike", f"{match[0]} reads {plain}")
        for match in WORD.finditer(value)
        if not match[0].isascii()
        and (plain := unmasked_word(match[0])) != match[0]
        and _skeleton(plain).isascii()
        and not (is_turkish and match[0].replace("\u0131", "i") == plain)
    ]
    latin = sum("a" <= char.lower() <= "z" for char in value)
    letters = sum(char.isalpha() for char in value)
    if mixed and text.role in _NAMES:
        yield in_text(NAME, text, mixed, key="look-alike")
    elif len(mixed) >= 2 and latin >= 0.6 * letters:
        yield in_text(LETTERS, text, mixed, key="look-alike")
    elif mixed:
        yield in_text(LETTER, text, mixed, key="look-alike")
    sign = "letters of another shape"
    fonts = [
        Span(*match.span(), sign, unicodedata.normalize("NFKC", match[0]))
        for match in _FONT_WORD.finditer(value)
    ]  # fmt: skip
    if len(fonts) >= 2:
        yield in_text(FONTS, text, fonts, key="fonts")


def _skeleton(word: str) -> str:
    """Return a word without its accents: façade is Latin all through."""
    parts = unicodedata.normalize("NFKD", word)
    return "".join(char for char in parts if not unicodedata.combining(char))


def _encoded(text: Text, readings: Sequence[Reading]) -> Iterator[Match]:
    """Yield what says something only when it is decoded.

    URL-encoding is how texts are written on the web: by itself it hides nothing.
    """
    for reading in readings[1:]:
        how = reading.how
        if how == decoding.PERCENT or how in decoding.SPELT:
            continue
        if len(WORD.findall(reading.text)) >= 3:
            span = Span(reading.start, reading.end, how, shown(reading.text))
            yield in_text(ENCODED, text, [span], seen=how, key=how)
