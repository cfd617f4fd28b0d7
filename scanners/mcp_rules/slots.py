"""What the slots of a sentence are filled with, for the statistics of the engine. Pure.

Who is addressed, what is ordered, over whose data or tool, with which concealment: each
is a slot, named by a concept of `concepts.json` or, in capitals, by the form of the
sentence. Rules look for certain acts; here everything is noted that may count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from scanners.mcp_rules.forms import FORMS, Form, form
from scanners.mcp_rules.sentences import SECRET_NAME, Names, Sentence, Token

type Slots = dict[str, tuple[int, int]]  # name, first and last token

# What nobody needs who is not made for it.
_SENSITIVE = frozenset(
    {"credential", "conversation", "personal", "danger", "money", "guard"}
)
_PLAIN = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_HUMP = re.compile("(?<=[a-z])(?=[A-Z])")
_NO_VERBS = form("no verbs")
_OPENERS = form("before an order")
_ADVERBS = form("adverbs")
_ORDERED_TO = form("ordered to")
_DETERMINERS = form("determiners")
_NO = form("no")
_BEFORE_BE = form("before be")
_DOES = form("auxiliaries")
_KINDS = {"url": "URL", "mail": "MAIL", "phone": "PHONE", "path": "PATH"}
_THINGS = frozenset(_KINDS)
_HITS = frozenset({"secret_path", "carrier", "account_number"})
_HOLDER = ("server", "tool", "plugin", "plug-in", "connector", "integration", "scanner")
_HOLDERS = frozenset({*_HOLDER, *(f"{holder}s" for holder in _HOLDER)})
_COMMON = form("common")
_ENDINGS = form("endings of files")
_CAPITALS = re.compile(r"\b[A-Z]{4,}\b(?:\W+\b[A-Z]{3,}\b)+")
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
_TOP = form("top domains")


class Filled(NamedTuple):
    """A sentence: its filled slots, the stems of its longer words, what is new in it.

    `new` is in quarters how much of it the tool's purpose does not cover; -1 where
    it has too few words to say. The words may hold "", which is none.
    """

    slots: Slots
    words: set[str]
    new: int


def concepts_in(text: str) -> frozenset[str]:
    """Return what `text`, a name or the first sentence of a description, is about."""
    plain = _HUMP.sub(" ", text[:2000]).replace("_", " ").lower()
    return frozenset(_found([FORMS[word] for word in _PLAIN.findall(plain)]))


def _found(forms: Sequence[Form]) -> Slots:
    """Return the concepts in a row of words, each where it stands first."""
    slots: Slots = {}
    after, count = 0, len(forms)
    for each in forms:
        first, after = after, after + 1
        begun = each.concepts
        if begun is None:
            continue
        alone, longer = begun
        phrases = None
        if longer and after < count:
            phrases = longer.get(forms[after].stem)
        if phrases is None:
            for name in alone:
                if name not in slots:
                    slots[name] = (first, after)
            continue
        for rest, name in phrases:
            last = after + len(rest)
            if name not in slots and _are(forms[after:last], rest):
                slots[name] = (first, last)
    return slots


def _are(forms: Sequence[Form], stems: Sequence[str]) -> bool:
    return tuple([each.stem for each in forms]) == stems


def filled(text: str, sentence: Sentence, about: Names) -> Filled:
    """Return what fills the slots of `sentence`, a part of `text`."""
    tokens = sentence.tokens
    words = [word if kind == "word" else "" for word, kind, _, _ in tokens]
    here = [FORMS[word] for word in words]
    slots = _found(here)
    raw = text[tokens[0].start : tokens[-1].end]
    forms = (
        *_ordered(sentence, words, here),
        *_manner(words, here),
        *_third(words, slots),
        *_things(sentence),
        *_holders(words, about),
        *_named(text, raw, words, sentence, about),
        *_written(raw),
    )
    for name, first in forms:
        slots.setdefault(name, (first, first + 1))
    for name in _HITS.intersection(sentence.hits):
        for hit in sentence.of(name):
            slots.setdefault(name.upper(), (hit.first, hit.last))
    _beside_the_purpose(slots, about)
    return Filled(slots, {each.said for each in here}, _new(here, about))


def _new(forms: Sequence[Form], about: Names) -> int:
    words = {each.about for each in forms}
    words.discard("")
    if len(words) < 3:
        return -1
    return int(3.99 * len(words - about.purpose) / len(words))


def _beside_the_purpose(slots: Slots, about: Names) -> None:
    """Mark what is sensitive and no concern of the tool, or only guarded."""
    for name in _SENSITIVE.intersection(slots):
        if name not in about.concepts:
            slots[f"OFF {name}"] = slots[name]
        if "protect" in slots:
            slots[f"KEPT {name}"] = slots[name]
    if "SECRET_PATH" in slots and "credential" not in about.concepts:
        slots["OFF path"] = slots["SECRET_PATH"]


def _ordered(
    sentence: Sentence, words: list[str], forms: Sequence[Form]
) -> Iterator[tuple[str, int]]:
    """Yield the verbs that are orders by their form and place."""
    start = _start(sentence, words)
    verbs = [n for n, each in enumerate(forms) if each.orders or n == start]
    for position in verbs:
        word = words[position]
        if not word.isalpha() or word in _NO_VERBS or word.endswith(("ing", "ed", "s")):
            continue
        after = words[position + 1] if position + 1 < len(words) else ""
        if position == start:
            is_order = forms[position].orders or after in _DETERMINERS
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


def _manner(words: list[str], forms: Sequence[Form]) -> Iterator[tuple[str, int]]:
    manners = [(n, each.manner) for n, each in enumerate(forms) if each.manner]
    for position, name in manners:
        before = words[max(0, position - 3) : position]
        if name != "PASSIVE" or not _BEFORE_BE.isdisjoint(before):
            yield name, position


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
    if _THINGS.isdisjoint(sentence.hits):
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
    text: str, raw: str, words: list[str], sentence: Sentence, about: Names
) -> Iterator[tuple[str, int]]:
    """Yield names in code: of the tool's own family, or of somebody else's."""
    has_form = "." in raw or (not raw[1:].islower() and bool(_CAMEL.search(raw)))
    if not has_form and "_" not in raw and about.own.isdisjoint(words):
        return
    for position, token in enumerate(sentence.tokens):
        word, kind, _, _ = token
        if kind != "word":
            continue
        is_own = word in about.own
        if "_" in word or (has_form and _is_in_code(text, sentence, position)):
            if is_own:
                yield "OWN NAME", position
            elif SECRET_NAME.match(word):
                yield "SECRET NAME", position
            else:
                yield from _relation(text, token, position, about)
        elif is_own and len(word) > 2:
            yield "OWN WORD", position


def _is_in_code(text: str, sentence: Sentence, position: int) -> bool:
    """Whether a word is written as names in code are: camelCase, or a.b."""
    word, _, start, end = token = sentence.tokens[position]
    written = text[start:end]
    if written != word and _CAMEL.fullmatch(written):
        return True
    before = sentence.tokens[position - 1] if position else token
    # "os.system" is dotted, and "e.g." is a word.
    is_dotted = len(word) > 1 and before.end + 1 == start and text[before.end] == "."
    return is_dotted and before.word.isalpha() and word not in _ENDINGS


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
