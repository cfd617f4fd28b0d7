"""What the slots of a sentence are filled with, for the statistics of the engine. Pure.

Who is addressed, what is ordered, over whose data or tool, with which concealment: each
is a slot, named by a concept of `concepts.json` or, in capitals, by the form of the
sentence. Rules look for certain acts; here everything is noted that may count.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from scanners.mcp_rules.lexicon import Opened, opened
from scanners.mcp_rules.sentences import Names, Sentence, Token

type Slots = dict[str, tuple[int, int]]  # name, first and last token

_DATA: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parent / "concepts.json").read_text("utf-8")
)
DEEDS = frozenset(_DATA["deeds"])
# What nobody needs who is not made for it.
_SENSITIVE = frozenset(
    {"credential", "conversation", "personal", "danger", "money", "guard"}
)
MAX_KNOWN = 50_000


def _form(name: str) -> frozenset[str]:
    return frozenset(_DATA["forms"][name].split())


_PLAIN = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_HUMP = re.compile("(?<=[a-z])(?=[A-Z])")
_VOWEL = re.compile("[aeiouy]")
_NO_VERBS = _form("no verbs")
_OPENERS = _form("before an order")
_ADVERBS = _form("adverbs")
_ORDERED_TO = _form("ordered to")
_DETERMINERS = _form("determiners")
_NO = _form("no")
_YOU = frozenset({"you", "your", "yourself", "youre"})
_WE = frozenset({"we", "our", "us", "i", "my", "me", "ours"})
_BE = frozenset({"be", "been", "get"})
_BEFORE_BE = _form("before be")
_MODAL = frozenset({"must", "should", "shall", "needs"})
_DOES = _form("auxiliaries")
_MANNERS = {
    **dict.fromkeys(_BE, "PASSIVE"),
    **dict.fromkeys(_WE, "WE"),
    **dict.fromkeys(_YOU, "YOU"),
    **dict.fromkeys(_MODAL, "MODAL"),
}
_KINDS = {"url": "URL", "mail": "MAIL", "phone": "PHONE", "path": "PATH"}
_HITS = frozenset({"secret_path", "carrier", "account_number"})
_HOLDER = ("server", "tool", "plugin", "plug-in", "connector", "integration", "scanner")
_HOLDERS = frozenset({*_HOLDER, *(f"{holder}s" for holder in _HOLDER)})
_COMMON = _form("common")
_SECRET = re.compile(
    r"^[a-z0-9_]*(?:api_?key|_token|_secret|secret_key|access_key|password|_pat)s?$"
)
_ENDINGS = _form("endings of files")
_CAPITALS = re.compile(r"\b[A-Z]{4,}\b(?:\W+\b[A-Z]{3,}\b)+")
_CODED = re.compile("[_.]|[a-z][A-Z]")  # without it no word can be a name in code
_CAMEL = re.compile(r"[a-z]{2,20}[A-Z][a-z]\w*")
_LABEL = re.compile(
    r"(?i)^\W{0,4}(?:note|notice|system|important|instructions?|reminder|assistant|admin"
    r"|attention|warning|step \d|for ai|to the \w+)\b[^.\n]{0,40}?(?:[:\]>]|\*\*)"
)
_QUOTED = re.compile(
    '["\u201c][^"\u201c\u201d]{1,80} [^"\u201c\u201d]{1,80} [^"\u201d]{1,300}["\u201d]'
)
_COMMAND = re.compile(r"`[^`\s]+ [^`]*`")
_HOST = re.compile(r"(?i)(?<![\w./@-])[\w-]{1,60}(?:\.[\w-]{1,60}){1,4}\b")
_TOP = _form("top domains")


def stem(word: str) -> str:
    """Return `word` without its ending, so that its forms are one."""
    if word.endswith(("ies", "ied")) and len(word) > 4:
        word = f"{word[:-3]}y"
    elif word.endswith("sses"):
        word = word[:-2]
    elif word.endswith("s") and word[-2:] not in ("ss", "us", "is") and len(word) > 3:
        word = word[:-1]
    for ending in ("ing", "ed"):
        rest = word.removesuffix(ending)
        if rest != word and len(rest) >= 3 and _VOWEL.search(rest):
            is_double = rest[-1] == rest[-2] and rest[-1] not in "lsz"
            word = rest[:-1] if is_double and len(rest) > 3 else rest
            break
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


@cache
def _concepts() -> dict[str, Opened[str]]:
    """Return for the stem of a first word what may follow, and its concept."""
    found: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for name, entries in _DATA["concepts"].items():
        for entry in entries:
            first, *rest = (stem(word) for word in entry.replace("'", "").split())
            found.setdefault(first, []).append((tuple(rest), name))
    return {first: opened(phrases) for first, phrases in found.items()}


@cache
def _orders() -> frozenset[str]:
    """Return the first words of all deeds in their base form."""
    entries = (entry for deed in DEEDS for entry in _DATA["concepts"][deed])
    return frozenset(entry.split()[0] for entry in entries)


_STEMS: dict[str, str] = {}


def _stem_of(word: str) -> str:
    known = _STEMS.get(word)
    if known is None:
        known = stem(word)
        if len(_STEMS) < MAX_KNOWN:
            _STEMS[word] = known
    return known


def concepts_in(text: str) -> frozenset[str]:
    """Return what `text`, a name or the first sentence of a description, is about."""
    plain = _HUMP.sub(" ", text[:2000]).replace("_", " ").lower()
    words = _PLAIN.findall(plain)
    return frozenset(_found([_STEMS.get(word) or _stem_of(word) for word in words]))


def _found(stems: list[str]) -> Slots:
    """Return the concepts in a row of stems, each where it stands first."""
    concepts = _concepts()
    slots: Slots = {}
    for first, word in enumerate(stems):
        if word not in concepts:
            continue
        phrases, longer = concepts[word]
        if longer and first + 1 < len(stems):
            phrases = longer.get(stems[first + 1], phrases)
        for rest, name in phrases:
            if name in slots:
                continue
            last = first + 1 + len(rest)
            if not rest or tuple(stems[first + 1 : last]) == rest:
                slots[name] = (first, last)
    return slots


def slots_of(text: str, sentence: Sentence, about: Names) -> Slots:
    """Return the filled slots of `sentence`, a part of `text`."""
    tokens = sentence.tokens
    words = [word if kind == "word" else "" for word, kind, _, _ in tokens]
    stems = [_STEMS.get(word) or _stem_of(word) for word in words]
    slots = _found(stems)
    forms = (
        *_ordered(sentence, words),
        *_manner(words),
        *_third(words, slots),
        *_things(sentence),
        *_holders(words, about),
        *_named(text, sentence, words, about),
        *_written(text[tokens[0].start : tokens[-1].end]),
    )
    for name, first in forms:
        slots.setdefault(name, (first, first + 1))
    for name in _HITS.intersection(sentence.hits):
        for hit in sentence.of(name):
            slots.setdefault(name.upper(), (hit.first, hit.last))
    _beside_the_purpose(slots, about)
    return slots


def _beside_the_purpose(slots: Slots, about: Names) -> None:
    """Mark what is sensitive and no concern of the tool, or only guarded."""
    for name in _SENSITIVE.intersection(slots):
        if name not in about.concepts:
            slots[f"OFF {name}"] = slots[name]
        if "protect" in slots:
            slots[f"KEPT {name}"] = slots[name]
    if "SECRET_PATH" in slots and "credential" not in about.concepts:
        slots["OFF path"] = slots["SECRET_PATH"]


def _ordered(sentence: Sentence, words: list[str]) -> Iterator[tuple[str, int]]:
    """Yield the verbs that are orders by their form and place."""
    orders = _orders()
    start = _start(sentence, words)
    verbs = {n for n, word in enumerate(words) if word in orders}
    for position in sorted(verbs if start < 0 else verbs | {start}):
        word = words[position]
        if not word.isalpha() or word in _NO_VERBS or word.endswith(("ing", "ed", "s")):
            continue
        after = words[position + 1] if position + 1 < len(words) else ""
        if position == start:
            is_order = word in orders or after in _DETERMINERS
        else:
            is_order = _may_order(sentence, words, position)
        if not is_order:
            continue
        if not _NO.isdisjoint(words[max(0, position - 3) : position]):
            yield "FORBIDS", position
            if word in ("tell", "mention", "inform", "show", "reveal", "say", "ask"):
                yield "FORBIDS tell", position
        elif sentence.position == 0 and position == start:
            yield "DOES", position
        else:
            yield "ORDERS", position


def _start(sentence: Sentence, words: list[str]) -> int:
    """Return where a sentence begins, adverbs and marks aside."""
    for position, token in enumerate(sentence.tokens):
        if token.kind != "mark" and words[position] not in _ADVERBS:
            return position
    return -1


def _may_order(sentence: Sentence, words: list[str], position: int) -> bool:
    before = words[position - 1] if position else ""
    if before == "to":
        return not _ORDERED_TO.isdisjoint(words[max(0, position - 4) : position - 1])
    is_mark = position > 0 and sentence.tokens[position - 1].kind == "mark"
    return is_mark or before in _OPENERS


def _manner(words: list[str]) -> Iterator[tuple[str, int]]:
    for position, word in enumerate(words):
        if name := _MANNERS.get(word):
            before = words[max(0, position - 3) : position]
            if name != "PASSIVE" or not _BEFORE_BE.isdisjoint(before):
                yield name, position
        elif word.isdigit():
            yield "NUMBER", position


def _third(words: list[str], slots: Slots) -> Iterator[tuple[str, int]]:
    """Yield whether the text says what the assistant does."""
    if place := slots.get("model"):
        first, last = place
        after = [word for word in words[last : last + 2] if word]
        if words[max(0, first - 2) : first] == ["by", "the"] or any(
            word in _DOES or (word.endswith("s") and word not in _NO_VERBS)
            for word in after
        ):
            yield "THIRD", first


def _things(sentence: Sentence) -> Iterator[tuple[str, int]]:
    if sentence.hits.keys().isdisjoint(_KINDS):
        return
    for position, token in enumerate(sentence.tokens):
        if token.kind in _KINDS:
            yield _KINDS[token.kind], position


def _holders(words: list[str], about: Names) -> Iterator[tuple[str, int]]:
    """Yield "the mail server", "a payment tool": whose purpose is another one."""
    if _HOLDERS.isdisjoint(words):
        return
    for position in range(1, len(words)):
        if words[position] in _HOLDERS:
            before = words[position - 1]
            if before and before not in _COMMON and before.isalpha():
                is_kin = before[:4] in about.purpose
                yield "KIN SERVER" if is_kin else "STRANGE SERVER", position - 1


def _named(
    text: str, sentence: Sentence, words: list[str], about: Names
) -> Iterator[tuple[str, int]]:
    """Yield names in code: of the tool's own family, or of somebody else's."""
    tokens = sentence.tokens
    if not _CODED.search(text, tokens[0].start, tokens[-1].end):
        if not about.own.isdisjoint(words):
            for position, word in enumerate(words):
                if word in about.own and len(word) > 2:
                    yield "OWN WORD", position
        return
    for position, token in enumerate(tokens):
        word, kind, start, end = token
        if kind != "word":
            continue
        written = text[start:end]
        is_plain = written == word or not _CAMEL.fullmatch(written)
        if is_plain and "_" not in written:
            before = tokens[position - 1] if position else token
            is_dotted = before.end + 1 == token.start and text[before.end] == "."
            if not is_dotted or not before.word.isalpha() or token.word in _ENDINGS:
                if token.word in about.own and len(token.word) > 2:
                    yield "OWN WORD", position
                continue
        if token.word in about.own:
            yield "OWN NAME", position
        elif _SECRET.match(token.word):
            yield "SECRET NAME", position
        else:
            yield from _relation(text, token, position, about)


def _relation(
    text: str, token: Token, position: int, about: Names
) -> Iterator[tuple[str, int]]:
    parts = _HUMP.sub("_", text[token.start : token.end]).lower()
    first, *_ = words = parts.strip("_").split("_")
    if about.family and first == about.family:
        yield "SIBLING", position
        return
    is_kin = any(word[:4] in about.purpose for word in words if len(word) > 2)
    yield "KIN NAME" if is_kin or not about.purpose else "STRANGE NAME", position
    after = text[token.end : token.end + 4].lstrip()
    if after.startswith("("):
        yield "CALLED", position
    elif after.startswith(("=", ":")):
        yield "ASSIGNED", position


def _written(raw: str) -> Iterator[tuple[str, int]]:
    """Yield what is seen in the letters and marks of a sentence."""
    if _LABEL.match(raw):
        yield "LABEL", 0
    if not raw[1:].islower() and _CAPITALS.search(raw):
        yield "CAPITALS", 0
    if "=" in raw or " --" in raw:
        yield "ASSIGNS", 0
    if "!" in raw:
        yield "BANG", 0
    if _QUOTED.search(raw):
        yield "QUOTED", 0
    if "`" in raw and _COMMAND.search(raw):
        yield "COMMAND", 0
    if "." in raw:
        for match in _HOST.finditer(raw):
            last = match[0].rpartition(".")[2].lower()
            if last in _TOP or match[0].replace(".", "").isdigit():
                yield "HOST", 0
                return


def novelty(sentence: Sentence, about: Names) -> int:
    """Return in quarters how much of a sentence the tool's purpose does not cover."""
    words = {
        word[:4]
        for word, kind, _, _ in sentence.tokens
        if len(word) > 4 and kind == "word" and word.isalpha()
    }
    if len(words) < 3:
        return -1
    return int(3.99 * len(words - about.purpose) / len(words))


def words_of(sentence: Sentence) -> set[str]:
    """Return the stems of the longer words of a sentence."""
    return {
        _STEMS.get(word) or _stem_of(word)
        for word, kind, _, _ in sentence.tokens
        if len(word) > 3 and kind == "word" and word.isalpha()
    }
