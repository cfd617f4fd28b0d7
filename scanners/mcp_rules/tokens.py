"""What a credential looks like. Standard library only.

The formats are the ones that their issuers document (GitHub, GitLab, AWS, Google,
Slack, Stripe, OpenAI, Anthropic, Hugging Face, npm, PyPI, RFC 7519, RFC 7468).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

FORMATS: dict[str, str] = {
    "GitHub token": r"gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{22,255}",
    "GitLab token": r"gl(?:pat|ptt|dt|rt|cbt|soat)-[A-Za-z0-9_.-]{20,}",
    "AWS access key": r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}",
    "Google API key": r"AIza[A-Za-z0-9_-]{35}",
    "Google OAuth token": r"ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,}",
    "Slack token": r"xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[0-9]-[A-Za-z0-9-]{10,}",
    "Slack webhook": r"hooks\.slack\.com/services/T\w{6,}/B\w{6,}/\w{20,}",
    "Stripe key": r"[srp]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/]{24,}",
    # Two digits tell a key from a word such as sk-learn-and-so-on.
    "API key": r"sk-(?=[\w-]*[0-9][\w-]*[0-9])[A-Za-z0-9_-]{20,}",
    "Hugging Face token": r"hf_[A-Za-z0-9]{30,}",
    "npm token": r"npm_[A-Za-z0-9]{36}",
    "PyPI token": r"pypi-[A-Za-z0-9_-]{50,}",
    "SendGrid key": r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    "Notion token": r"ntn_[A-Za-z0-9]{40,}|secret_[A-Za-z0-9]{40,}",
    "Telegram bot token": r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}",
    "DigitalOcean token": r"do[opr]_v1_[a-f0-9]{64}",
    "SentraScan key": r"ssk_[A-Za-z0-9]{8}_[A-Za-z0-9]{38}",
    "JSON Web Token": r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*",
    "private key": (
        r"-----BEGIN[A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"[A-Za-z0-9+/=\s\\:,.-]{40,}"
    ),
}
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
# One of these stands in every token: most texts have none, and need no pattern.
MARKERS = (
    *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "glptt-"),
    *("gldt-", "glrt-", "glcbt-", "glsoat-", "AKIA", "ASIA", "ABIA", "ACCA", "AIza"),
    *("ya29.", "GOCSPX-", "xox", "xapp-", "hooks.slack", "k_live_", "k_test_"),
    *("whsec_", "sk-", "hf_", "npm_", "pypi-", "SG.", "ntn_", "secret_", ":AA"),
    *("_v1_", "ssk_", "eyJ", "PRIVATE KEY"),
)
_MARKED = re.compile("|".join(map(re.escape, MARKERS)))

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

MAX_PLACEHOLDER = 300
MIN_SECRET = 6  # characters; a shorter value could not be masked without noise


def tokens_in(text: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, value) of every credential of a documented format in `text`."""
    if not _MARKED.search(text):
        return
    for match in TOKEN.finditer(text):
        if _is_live(match.group()):
            yield _GROUPS[match.lastgroup or "f0"], match.group().rstrip(".,;:")


def without_tokens(text: str) -> str:
    """Return `text` with every credential of a documented format masked."""
    if not _MARKED.search(text):
        return text
    return TOKEN.sub(
        lambda match: masked(match[0]) if _is_live(match[0]) else match[0], text
    )


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

    Hexadecimal digests and UUIDs name things in public and do not count.
    """
    if not _RANDOM.fullmatch(value) or "//" in value or value.count("/") > 3:
        return False
    classes = (str.islower, str.isupper, str.isdigit)
    if not all(any(check(char) for char in value) for check in classes):
        return False
    counts = Counter(value)
    entropy = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    return entropy >= 4.2
