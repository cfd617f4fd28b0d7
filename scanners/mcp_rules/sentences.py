"""A text in sentences, words and what the words mean. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from scanners.mcp_rules.lexicon import (
    BASE,
    MARKS,
    NOTHING,
    PLAIN,
    Lexicon,
    Meaning,
    Opened,
    hinted,
    lexicons,
)

MIN_HINTS = 2
SHORT = 14  # tokens
# Small words of other languages that are English words, too.
_ENGLISH = frozenset(
    {"a", "i", "o", "as", "do", "no", "in", "is", "an", "on", "at", "to", "me", "die"}
    | {
        "was",
        "over",
        "van",
        "of",
        "per",
        "con",
        "en",
        "all",
        "war",
        "hat",
        "also",
        "he",
    }
    | {"so", "men", "her", "dan", "not", "use", "se", "al", "del", "des"}
)
_CYRILLIC = re.compile("[\u0400-\u04ff]{3}")

_TOKEN = re.compile(
    # Most words, as many as there are in a row: nothing else begins with letters that
    # a blank follows, or a mark that is in no other token.
    r"(?P<plain>(?:[A-Za-z]++ ++)++(?:[A-Za-z]++(?![\w'\u2019@/\\+-]|[.:]\S))?+"
    r"|[A-Za-z]++(?![\w'\u2019@/\\+-]|[.:]\S))"
    r"|(?P<url>\b[a-zA-Z][a-zA-Z0-9+.-]{1,15}://[^\s\"'`<>)\]]*[^\s\"'`<>)\],.;:!?])"
    r"|(?P<mail>[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]{0,200}\w)"
    r"|(?P<path>(?:~|\$\{?[A-Z]{1,20}\}?|%\w{1,20}%|(?<![\w/])\.{0,2})?"
    r"(?:(?<=[~}%A-Z.])|(?<![\w/<]))/[\w.@*$-]+(?:/[\w.@*-]*)*"
    r"|(?<![\w.])\.[a-z][\w-]{1,30}(?:[./][\w-]{1,40})*"
    r"|\b[\w-]{1,60}\.(?:json|ya?ml|env|pem|key|txt|dat|db|conf|cfg|ini|toml|sqlite3?"
    r"|kdbx|p12|pfx|log|sh|ps1|py|js|exe|bat|md|csv)\b|[A-Za-z]:\\[\w.\\ -]{1,200})"
    r"|(?P<phone>\+\d[\d ().-]{6,18}\d)"
    r"|(?P<word>\w+(?:['\u2019](?:t|s|re|ll|ve|m|d)\b)?(?:-[^\W_]+)*)"
    r"|(?P<end>(?<!\be\.g)(?<!\bi\.e)[.!?;]+(?=[\s\"'\u201d)\]<*]|$)"
    # A line that begins with a small letter, if not with the call of a function, goes
    # on with the sentence before.
    r"|\n(?:\s*\n)+|\n(?:(?![ \t]*[a-z(])|(?=[ \t]*[a-z]\w{1,60}\())"
    r"|[\u3002\uff01\uff1f\uff1b\u0964])"
    rf"|(?P<mark>[{re.escape(MARKS)}])"
)
# The name of an argument, which is no verb: `cc="..."`.
_KEY = re.compile(r"\b[a-zA-Z]\w*(?=[ \t]?=(?!=))")
_UNSPACED = re.compile(
    "[\u0600-\u06ff\u0900-\u097f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
)

# Files that hold credentials, or what people keep to themselves.
PRIVATE_FILE = re.compile(
    r"""(?ix)
    \.ssh\b | \bid_(?:rsa|dsa|ecdsa|ed25519)\b | authorized_keys | known_hosts
    | \.aws\b | \.azure\b | \.config/gcloud | \.kube\b | kubeconfig | \.docker/config
    | \.env(?:\.(?:local|prod|production|dev|development|staging))?(?![\w.]*\w)
    | \.netrc | \.npmrc | \.pypirc | \.git-credentials | \.gnupg | \.pgpass | \.my\.cnf
    | /etc/(?:passwd|shadow|sudoers|hosts) | /proc/(?:self|\d+)/environ | /root\b
    | (?:credentials?|secrets?|tokens?|passwords?|service[-_]account)
      \.(?:json|ya?ml|txt|csv|db|ini|toml|env)
    | [/\\.](?:credentials|secrets?)\b | \.(?:pem|kdbx|p12|pfx|keystore|jks|ovpn)\b
    | mcp\.json | claude_desktop_config | \.cursor\b | \.claude\b | mcp_config
    | wallet\.dat | keystore | login[ ]data | cookies(?:\.sqlite|\.db|\.txt)?\b
    | \.(?:bash|zsh|python|psql|mysql)_history | (?:bash|zsh)_history
    | \.(?:bashrc|zshrc|profile|bash_profile) | keychain | \.mozilla | \.vault-token
    | terraform\.tfstate | \.s3cfg | \.boto | \.codex\b | \.gemini\b
    """
)

# Files that assistants read as their own rules.
AGENT_FILE = re.compile(
    r"(?:^|[/\\])(?:(?:claude|agents?|gemini|memory)\.md|\.?cursorrules|\.windsurfrules"
    r"|copilot-instructions\.md|\.clinerules)$|\.cursor/rules"
)

# An address that is to be completed with something.
_CARRIER = re.compile(
    r"[?&/][\w.-]{1,40}=(?:[\[{<%$]|data|base64|content|encoded|\.\.\.)"
    r"|[?&][\w.-]{1,40}=$"
)
_LOAD = re.compile(
    r"[?&/=][\[{<%$][^&]{0,40}(?:conversation|message|history|prompt|key|token|secret"
    r"|chat|user|context|password|env)"
)

# Where money goes: IBAN and the like, Bitcoin, Ethereum.
_ACCOUNT = re.compile(
    r"[a-z]{2}\d{2}[a-z0-9]{11,30}|0x[0-9a-f]{40}|bc1[a-z0-9]{20,60}|[13][a-km-z1-9]{25,34}"
)
# What documentation tells people to copy.
_SAMPLE = re.compile(r"\.env[\w.]*\.?(?:example|sample|template|dist)\b")
# OPENAI_API_KEY, GITHUB_TOKEN: the name of a variable that holds a secret.
SECRET_NAME = re.compile(
    r"^[a-z0-9_]*(?:api_?key|_token|_secret|secret_key|access_key|password|_pat)s?$"
)


class Token(NamedTuple):
    """One word, path, address or mark; offsets lead into the reading."""

    word: str
    kind: str
    start: int
    end: int


class Hit(NamedTuple):
    """Tokens `first` to `last` (not included) have a meaning."""

    first: int
    last: int
    form: str


@dataclass(slots=True)
class Sentence:
    """One sentence, and by class which of its words mean something."""

    position: int
    language: str
    tokens: list[Token] = field(default_factory=list)
    hits: dict[str, list[Hit]] = field(default_factory=dict)

    def of(self, *names: str) -> list[Hit]:
        """Return the hits of the classes `names`."""
        return [hit for name in names for hit in self.hits.get(name, ())]

    def has(self, name: str, first: int, last: int) -> Hit | None:
        """Return the first hit of `name` that begins from `first` up to `last`."""
        for hit in self.hits.get(name, ()):
            if first <= hit.first < last:
                return hit
        return None

    def word(self, position: int) -> str:
        """Return a word; nothing before the beginning and after the end."""
        inside = 0 <= position < len(self.tokens)
        return self.tokens[position].word if inside else ""


class Names(NamedTuple):
    """What belongs to a tool: its names in full, what its purpose is about."""

    own: frozenset[str] = frozenset()
    purpose: frozenset[str] = frozenset()
    concepts: frozenset[str] = frozenset()
    family: str = ""  # the first word of its name, which its siblings share

    def knows(self, name: str) -> bool:
        """Whether `name` shares a word with what the tool is for."""
        if not self.purpose:
            return True
        return any(stem in self.purpose for stem in stems(name))


NOBODY = Names()


def stems(text: str) -> list[str]:
    """Return the beginnings of the words of `text`: orders and ordering are one."""
    words = _WORDS.findall(text[:1000].lower())
    return [word[:4] for word in words if word not in _EMPTY]


# What tools are called: by what they do.
_DOES = re.compile(
    r"(?:send|post|create|make|read|write|upload|delete|run|open|book|transfer|pay|charge"
    r"|encrypt|git|push|shell|exec(?:ute)?|query|search|fetch|web|update|publish|reply"
    r"|forward|download|save|remove|invite|merge|deploy|sign|approve|slack|e?mail"
    r"|whatsapp|payment|http|browser|file|sql|database|kubectl|docker)_"
)
_RUINS = ("delete_", "remove_", "drop_", "wipe_", "purge_", "destroy_", "erase_")
_WORDS = re.compile(r"[^\W\d_]{3,}")
_EMPTY = frozenset(
    {"the", "and", "for", "with", "from", "into", "tool", "this", "that", "get", "set"}
    | {"list", "create", "read", "write", "run", "add", "update", "delete", "use"}
)


def sentences_of(
    text: str, own: Names = NOBODY, *, is_order: bool = False
) -> Iterator[list[Sentence]]:
    """Yield the sentences of `text`, once in English and in each other language.

    `own` are the names of the tool itself and of its parameters. The first sentence
    says what a tool does, unless `is_order`.
    """
    tokens = _matched(text)
    keys = {match.start() for match in _KEY.finditer(text)} if "=" in text else set()
    hints: dict[str, int] = {}
    words = [word for word, _, _, _ in tokens]
    for word in () if _hinting().isdisjoint(words) else words:
        for language in _hints().get(word, ()):
            hints[language] = hints.get(language, 0) + 1
    # A short text has few small words.
    enough = MIN_HINTS if len(tokens) > SHORT else 1
    if not text.isascii() and _CYRILLIC.search(text):
        hints |= {"ru": enough, "uk": enough}
    first = int(is_order)
    yield _read(tokens, lexicons()["en"], own, first, keys)
    for language, count in hints.items():
        if count >= enough:
            yield _read(tokens, lexicons()[language], own, first, keys)
    if not text.isascii() and _UNSPACED.search(text):
        for lexicon in lexicons().values():
            if lexicon.pattern:
                pieces = list(_pieces(text, lexicon.pattern))
                yield _read(pieces, lexicon, own, first, keys)


@cache
def _hints() -> dict[str, tuple[str, ...]]:
    """Return the languages that a small word tells of which is not English as well."""
    return {word: of for word, of in hinted().items() if word not in _ENGLISH}


@cache
def _hinting() -> frozenset[str]:
    return frozenset(_hints())


def _matched(text: str) -> list[Token]:
    tokens: list[Token] = []
    made = tuple.__new__  # half the price of Token(...), which calls just this
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        first, last = match.span()
        if kind == "plain":
            for word in match[0].lower().split(" "):
                last = first + len(word)
                if word:
                    tokens.append(made(Token, (word, "word", first, last)))
                first = last + 1
            continue
        word = match[0].lower()
        if kind == "word" and ("'" in word or "\u2019" in word):
            word = word.replace("'", "").replace("\u2019", "")
        tokens.append(made(Token, (word, kind, first, last)))
    return tokens


def _pieces(text: str, pattern: re.Pattern[str]) -> Iterator[Token]:
    """Cut a text without blanks into the words that are known."""
    things = [t for t in _matched(text) if t.kind not in ("word", "mark")]
    known = [
        Token(match[0], "word", match.start(), match.end())
        for match in pattern.finditer(text)
    ]
    yield from sorted([*things, *known], key=lambda token: token.start)


def _read(
    tokens: list[Token], lexicon: Lexicon, own: Names, first: int, keys: set[int]
) -> list[Sentence]:
    sentences = [Sentence(first, lexicon.language)]
    here = sentences[0].tokens
    for token in tokens:
        if token[1] != "end":
            here.append(token)
        elif here:
            sentences.append(Sentence(first + len(sentences), lexicon.language))
            here = sentences[-1].tokens
    for sentence in sentences:
        _mean(sentence, lexicon, own, keys)
    return sentences


def _mean(sentence: Sentence, lexicon: Lexicon, own: Names, keys: set[int]) -> None:
    hits, plain, made = sentence.hits, lexicon.plain, tuple.__new__
    words = [token[0] for token in sentence.tokens]
    words.append("")
    after = 0
    for word, begun in zip(words, map(plain.get, words), strict=True):
        position, after = after, after + 1
        if begun is None:
            if not word:
                return
            begun = _begun(sentence, position, lexicon, own)
        if keys and sentence.tokens[position].start in keys:
            begun = _no_order(begun)
        alone, longer = begun
        phrases = longer.get(words[after]) if longer else None
        if phrases is None:
            for name, form in alone:
                hit = made(Hit, (position, after, form))
                if name in hits:
                    hits[name].append(hit)
                else:
                    hits[name] = [hit]
            continue
        for rest, (name, form) in phrases:
            last = after + len(rest)
            if tuple(words[after:last]) == rest:
                hits.setdefault(name, []).append(Hit(position, last, form))


def _begun(
    sentence: Sentence, position: int, lexicon: Lexicon, own: Names
) -> Opened[Meaning]:
    """Note what a token is by its form; return the phrases that begin with it."""
    token = sentence.tokens[position]
    is_written = len(token.word) > 14 or "_" in token.word
    names: Iterable[str] = ()
    if token.kind != "word":
        names = _thing(token)
    elif is_written:
        names = _name(token.word, own)
    for name in names:
        hit = Hit(position, position + 1, PLAIN)
        sentence.hits.setdefault(name, []).append(hit)
    if token.kind != "word":
        return NOTHING
    return lexicon.meanings(token.word, is_plain=not is_written)


def _no_order(begun: Opened[Meaning]) -> Opened[Meaning]:
    """Return what a word means that is no verb."""
    alone, longer = begun
    return tuple(each for each in alone if each[1] != BASE), {
        second: tuple(phrase for phrase in phrases if phrase[1][1] != BASE)
        for second, phrases in longer.items()
    }


def _name(word: str, own: Names) -> Iterator[str]:
    """Yield the classes of a word by the way it is written."""
    if len(word) > 14 and _ACCOUNT.fullmatch(word):
        yield "account_number"
    if "_" in word:
        kind = "slot" if word in own.own else "name"
        is_tool = kind == "name" and _DOES.match(word)
        if kind == "name" and word.startswith(_RUINS):
            yield "ruin"
        if is_tool and not own.knows(word):
            yield "stranger"
        yield "private" if SECRET_NAME.search(word) else kind
        if PRIVATE_FILE.search(word):
            yield "secret_path"


def _thing(token: Token) -> tuple[str, ...]:
    """Return the classes of what is no word."""
    if token.kind == "path" and _SAMPLE.search(token.word):
        return ("path", "sample_file")
    if token.kind == "path" and AGENT_FILE.search(token.word):
        return ("path", "agent_file")
    if token.kind == "path" and PRIVATE_FILE.search(token.word):
        return ("path", "secret_path")
    if token.kind == "url" and _CARRIER.search(token.word):
        is_loaded = _LOAD.search(token.word)
        return ("url", "carrier", "loaded_carrier") if is_loaded else ("url", "carrier")
    if token.kind == "url" and token.word.startswith("file:"):
        return ("path", "secret_path") if PRIVATE_FILE.search(token.word) else ("path",)
    return (token.kind,)
