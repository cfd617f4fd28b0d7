"""Texts of a model repository: documentation, vocabularies, git's own files."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from pathlib import PurePosixPath

from scanners.file_rules import patterns
from scanners.file_rules.outcome import UNCLAIMED, Match, Outcome, Status, failed

MAX_BYTES = 32 << 20

DOCUMENT_STEMS = frozenset(
    {"readme", "license", "licence", "copying", "notice", "notices", "authors"}
    | {"changelog", "changes", "contributing", "citation", "use_policy", "model_card"}
    | {"code_of_conduct", "security", "acknowledgements", "terms"}
)
DOCUMENT_SUFFIXES = frozenset({"", ".md", ".markdown", ".rst", ".txt"})
NOT_DOCUMENTS = frozenset({"requirements", "constraints", "cmakelists", "robots"})
MARKUP_SUFFIXES = frozenset({".md", ".markdown", ".rst"})
CLOSER = re.compile(r"\}\}|%\}")
TEMPLATE_SUFFIXES = (".jinja", ".jinja2", ".j2")
VOCABULARY_SUFFIXES = frozenset({".txt", ".bpe", ".vocab", ".model", ".tiktoken"})

# C0 controls other than tab, line feed, form feed, carriage return.
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
WORD = re.compile(r"[^\W\d_]{2,}")
# What programs have at the starts of lines: one such line, and it is no prose.
PROGRAM_LINE = re.compile(
    r"\s*(?:import\s+[\w.]+\s*$|import\s+[\w.]+\s+as\s|from\s+[\w.]+\s+import\b"
    r"|def\s+\w+\s*\(|class\s+\w[^ ]*:\s*$|#include\b|function\s+\w+\s*\("
    r"|(?:var|let|const)\s+\w+\s*=|(?:export|set)\s+\w+=|<\w[^>]*>)"
)
# What data and commands look like; a few such lines stand in any text.
DATA_LINE = re.compile(
    r"\s*(?:[\w.\[\]'\"-]+\s*[=<>~!]?=\s*\S|[\w.]+\([^)]*\)\s*;?\s*$|[\w-]+\s*:\s*\S+\s*$"
    r"|\$\w|[{}\[\]<!%&|;@])|.*[{};\\]\s*$"
)
GIT_ATTRIBUTES = re.compile(
    r'(?:"[^"]+"|\S+)(?:[ \t]+!?[\w.-]+(?:=[^\s=]*)?)+[ \t]*\Z|'
    r"\[attr\][\w.-]+(?:[ \t]+\S+)+\Z"
)
# Formats that no other file can have by accident.
WITH_GRAMMAR = frozenset({"BPE merges", "tiktoken vocabulary", "git attributes"})
MAX_ROW = 2_000
# Quotes of Markdown and reStructuredText, and what Hugging Face reads before a README.
LINES = re.DOTALL | re.MULTILINE
FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n.*?^---[ \t]*\r?$", LINES)
FENCED = re.compile(r"^ {0,3}(```|~~~).*?(?:^ {0,3}\1`*~*[ \t]*\r?$|\Z)", LINES)
KEY_LINE = re.compile(r"\s*[\w.-]+:\s+\S")
MARKUP_STARTS = ("|", "<", "!", "[", "#", "-", "*", ">", "+", ":", "..", "=")
BLANK = re.compile(r"(?<!\\)\s")
VERSION_LINE = re.compile(r"#version:\s*[\d.]+\s*\Z")


def examine(path: str, raw: bytes) -> Outcome:
    """Examine a whole file whose name is one of a text; names prove nothing alone."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return UNCLAIMED
    if CONTROLS.search(text):
        return UNCLAIMED
    name = PurePosixPath(path).name.lower()
    for is_named, is_it, format in TEXT_FORMATS:
        if is_named(name) and is_it(text):
            return Outcome(
                Status.SCANNED, format, "", _matches(text), format in WITH_GRAMMAR
            )
    if is_document(name) and reads_as_document(name, text):
        return Outcome(Status.INERT, "documentation")
    return UNCLAIMED


def is_template(path: str) -> bool:
    return path.lower().endswith(TEMPLATE_SUFFIXES)


def examine_template(raw: bytes) -> Outcome:
    """A Jinja template must be one: modelaudit takes any file of such a name."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return failed("is called a template, but is not UTF-8")
    if CONTROLS.search(text) or _is_json(text) or not patterns.OPENER.search(text):
        return failed("is called a template, but is none")
    if not CLOSER.search(text, max(text.rfind("{{"), text.rfind("{%"))):
        return failed("is a template that breaks off")
    # What its words mean to Jinja is for modelaudit to say whole.
    return Outcome(Status.UNCLAIMED, "Jinja template", "", _matches(text))


def is_text(path: str) -> bool:
    """Whether a file of this name may be one of ours; only its content decides."""
    name = PurePosixPath(path).name.lower()
    return is_document(name) or any(is_named(name) for is_named, _, _ in TEXT_FORMATS)


def is_document(name: str) -> bool:
    stem, suffix = _split(name)
    if stem in NOT_DOCUMENTS:
        return False
    return suffix in DOCUMENT_SUFFIXES and bool(suffix or stem in DOCUMENT_STEMS)


def reads_as_document(name: str, text: str) -> bool:
    """Markup may quote code; any other text must read as prose."""
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines or lines[0].startswith(("#!", "<?")):
        return False
    if _split(name)[1] in MARKUP_SUFFIXES:
        return is_markup(text)
    return is_prose(lines)


def is_markup(text: str) -> bool:
    """Prose around quoted code. A program, a template or data under such a name is
    still what it is: what stands outside of quotes must read as text.
    """
    if text.lstrip().startswith("{") or _is_json(text):
        return False
    told = FENCED.sub("", FRONT_MATTER.sub("", text))
    lines = [line for line in told.split("\n") if line.strip()]
    # Four blanks quote code as well; what follows a fence that nobody closed is code.
    plain = [x for x in lines if not x.startswith(("    ", "\t"))]
    if not any(WORD.search(line) for line in plain):
        return False
    if patterns.search("\n".join(plain)) or any(map(_is_program, plain)):
        return False
    written = [line for line in plain if not line.startswith(MARKUP_STARTS)]
    keys = sum(1 for line in written if KEY_LINE.match(line))
    return keys * 2 <= len(written)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _is_program(line: str) -> bool:
    return bool(PROGRAM_LINE.match(line)) and not line.lstrip().startswith("<")


def is_prose(lines: list[str]) -> bool:
    """Sentences: no template, no line of a program, hardly any data, mostly words."""
    if any(patterns.OPENER.search(x) or PROGRAM_LINE.match(x) for x in lines):
        return False
    words = sum(len(WORD.findall(line)) for line in lines)
    data = sum(1 for line in lines if DATA_LINE.match(line))
    is_list = len(lines) > 1 and words < 2 * len(lines)
    return words > 0 and not is_list and data * 5 <= len(lines)


def _split(name: str) -> tuple[str, str]:
    """`license.txt` is (`license`, `.txt`); `license-mit` has the stem `license`."""
    path = PurePosixPath(name)
    return re.split(r"[-.]", path.stem)[0] if path.stem else "", path.suffix


def _rows(text: str) -> list[str]:
    rows = [row.removesuffix("\r") for row in text.split("\n")]
    return rows[:-1] if rows and not rows[-1] else rows


def _is_merges(text: str) -> bool:
    rows = _rows(text)
    if rows and VERSION_LINE.match(rows[0]):
        rows = rows[1:]
    pairs = (row.split(" ") for row in rows)
    return bool(rows) and all(len(pair) == 2 and all(pair) for pair in pairs)


def _is_vocabulary(text: str) -> bool:
    rows = _rows(text)
    return len(rows) > 1 and not any(" " in row or "\t" in row for row in rows)


def _is_ranked(text: str) -> bool:
    """tiktoken's format: the token in base64, a blank, its rank."""
    rows = _rows(text)
    return len(rows) > 1 and all(_is_rank(row) for row in rows)


def _is_rank(row: str) -> bool:
    token, _, rank = row.partition(" ")
    try:
        return bool(base64.b64decode(token, validate=True)) and rank.isdecimal()
    except (binascii.Error, ValueError):
        return False


def _is_git_attributes(text: str) -> bool:
    rows = (row.strip() for row in _rows(text))
    told = [row for row in rows if row and not row.startswith("#")]
    return all(len(row) <= MAX_ROW and GIT_ATTRIBUTES.match(row) for row in told)


def _is_git_ignore(text: str) -> bool:
    """One pattern a line. Blanks, which commands and data have, are rare in one."""
    rows = [row.rstrip() for row in _rows(text)]
    told = [row for row in rows if row and not row.startswith("#")]
    if rows and rows[0].startswith("#!"):
        return False
    return not any(BLANK.search(row) or patterns.search(row) for row in told)


def _named(*pieces: str) -> Callable[[str], bool]:
    def is_named(name: str) -> bool:
        suffix = PurePosixPath(name).suffix
        return suffix in VOCABULARY_SUFFIXES and any(p in name for p in pieces)

    return is_named


TEXT_FORMATS: tuple[tuple[Callable[[str], bool], Callable[[str], bool], str], ...] = (
    (_named("merges", "bpe"), _is_merges, "BPE merges"),
    (_named("tiktoken", "tokenizer"), _is_ranked, "tiktoken vocabulary"),
    (_named("vocab", "labels", "classes"), _is_vocabulary, "vocabulary"),
    (lambda name: name == ".gitattributes", _is_git_attributes, "git attributes"),
    (lambda name: name == ".gitignore", _is_git_ignore, "git ignore list"),
)


def _matches(text: str) -> tuple[Match, ...]:
    """Search the whole text at once: a pattern may run over the ends of lines."""
    found = patterns.search(text)
    return tuple(Match(rule, "", pieces) for rule, pieces in found.items())
