"""What a credential looks like: by its form, or by chance. Standard library only."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from scanners.mcp_rules.formats import FORMATS, MARKED, MARKERS

_GROUPS = {f"f{number}": kind for number, kind in enumerate(FORMATS)}


def _alternative(number: int, form: str) -> str:
    # Where a token's own letters include "-" it must not begin after one, or a long run
    # of dashes would be read again from each.
    has_dash = re.search(r"\[[^]]*-\]", form) and not form.startswith("-")
    return f"(?P<f{number}>{'(?<!-)' if has_dash else ''}(?:{form}))"


TOKEN = re.compile(
    # A token stands alone: inside a longer word its letters are chance.
    r"(?<![A-Za-z0-9_])(?:"
    + "|".join(_alternative(n, form) for n, form in enumerate(FORMATS.values()))
    + ")"
)
_MARKED = re.compile("|".join([*map(re.escape, MARKERS), *MARKED]))
MIN_TOKEN = 14  # characters

_PLACEHOLDER = re.compile(
    r"""(?ix)
    \$\{?[\w:.@/-]+(?:[:-][^}]*)?\}?      # $TOKEN ${TOKEN} ${env:TOKEN} ${input:token}
    | \{\{?[^{}]*\}?\} | %[\w]+% | @[\w.]+@
    | <[^<>]*> | \[[^\[\]]*\]
    | [*x.•_#-]+ | (.)\1+                  # *** xxxx ....
    | .*(?:\.\.\.|…|\*{3,}|x{6,}).*        # sk-... ghp_xxxxxxxx
    | (?:your|my|the|insert|enter|add|put|paste|replace|change|example|sample|dummy|
        fake|placeholder|redacted|todo|fixme|xxx)(?:[-_ .].*|me|here|this|)
    | .*[-_ ](?:here|goes[-_ ]here|example|placeholder|changeme)
    | [a-z]*your[-_ ].*
    | (?:change|replace)[-_ ]?(?:me|this|it).*
    | true|false|null|none|nil|undefined|yes|no|on|off|enabled|disabled
    | [-+]?[0-9][0-9.,_]*                  # plain numbers
    | \[redacted\]|default|required|optional|empty|unset
    """
)
_PATH = re.compile(r"(?:[A-Za-z]:[\\/]|~?/|\.{1,2}/|\\\\)[\w .~@%+=:,\\/-]*")
_WORD = re.compile(r"[A-Za-z]{1,11}(?:[-_ .][A-Za-z]{1,11})*")
_RANDOM = re.compile(r"[A-Za-z0-9+/_=-]{32,}")
# What pages and lock files show: digests of files, the key of a project in PostHog.
_PUBLIC = ("sha256-", "sha384-", "sha512-", "phc_")
_RUNS = re.compile(
    r"[A-Za-z]?[a-z]{3,}"
)  # of letters, as names have and chance has not

MAX_PLACEHOLDER = 300
MIN_SECRET = 6  # characters; a shorter value could not be masked without noise


def tokens_in(text: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, value) of every credential of a documented format in `text`."""
    for match in TOKEN.finditer(_worth_a_look(text)):
        if _is_live(match.group()):
            yield _GROUPS[match.lastgroup or "f0"], match.group().rstrip(".,;:")


def without_tokens(text: str) -> str:
    """Return `text` with every credential of a documented format masked."""
    if not may_hold_one(text):
        return text
    return TOKEN.sub(
        lambda match: masked(match[0]) if _is_live(match[0]) else match[0], text
    )


def may_hold_one(text: str) -> bool:
    """Whether it is worth looking for tokens in `text`."""
    return bool(_worth_a_look(text))


def _worth_a_look(text: str) -> str:
    """Return the parts of `text` where all its tokens are; nothing if it has none."""
    if len(text) < MIN_TOKEN:
        return ""
    if "PRIVATE KEY" in text:
        return text
    # Any other token stands between two blanks.
    parts = unbroken(text, MIN_TOKEN)
    return parts if parts and _MARKED.search(parts) else ""


def unbroken(text: str, length: int) -> str:
    """Return, with a blank between them, what has no blanks for `length` characters."""
    return " ".join([part for part in text.split() if len(part) >= length])


def masked(value: str) -> str:
    """Return what may be shown of a secret; the length is not."""
    shown = value[:4] if len(value) >= 16 else ""
    return f"{shown}********"


def _is_live(value: str) -> bool:
    # Documentation shows the format with a body of x's or EXAMPLE.
    return len(set(value[-16:])) >= 6 and not value.endswith("EXAMPLE")


def is_placeholder(value: str) -> bool:
    """Whether `value` stands for a secret instead of being one."""
    text = value.strip().strip("\"'`")
    if len(text) > MAX_PLACEHOLDER:  # and the patterns stay cheap
        return len(set(text)) < 6
    return len(text) < MIN_SECRET or bool(
        _PLACEHOLDER.fullmatch(text) or _PATH.fullmatch(text) or _WORD.fullmatch(text)
    )


def looks_random(value: str) -> bool:
    """Whether `value` is a long mixed string that nobody would type.

    Hexadecimal digests and UUIDs name things in public and do not count, nor do names.
    """
    if not _RANDOM.fullmatch(value) or "//" in value or value.count("/") > 3:
        return False
    if value.startswith(_PUBLIC) or sum(map(len, _RUNS.findall(value))) * 2 > len(
        value
    ):
        return False
    classes = (str.islower, str.isupper, str.isdigit)
    if not all(any(check(char) for char in value) for check in classes):
        return False
    counts = Counter(value)
    entropy = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    return entropy >= 4.2
