"""What must not stand in the text of a configuration: rules as data.

Every expression is linear: no nested repeats, every repeat bounded or of one class.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MATCHES_PER_TEXT = 10
MATCH_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Pattern:
    """`in_templates`: looked for only behind a Jinja opener of the same text."""

    rule: str
    expression: re.Pattern[str]
    in_templates: bool = False


def _pattern(rule: str, *pieces: str, in_templates: bool = False) -> Pattern:
    return Pattern(rule, re.compile("|".join(pieces)), in_templates)


# The ways from any object to code, as server-side template injections use them
# (Jinja's own sandbox forbids the same names, jinja2.sandbox.UNSAFE_*_ATTRIBUTES).
DUNDERS = (
    "class|globals|builtins|mro|bases?|subclasses|init|import|dict|getattribute|code"
    "|closure|self|module|func|reduce|reduce_ex|loader|spec|call|getitem|new|context"
)
# Written in pieces where a whole name would look like an attack to other scanners.
OS_CALLS = r"\b(?:os|posix|nt)\s*\.\s*(?:sys" r"tem|popen|exec[lv]p?e?|spawn[lv]p?e?)"
PROCESS_CALLS = (
    r"\bsub" r"process\s*\.\s*(?:Popen|run|call|check_output|check_call|getoutput)"
)

SUBSCRIPT = r"(?<=[\w\])])\["

OPENER = re.compile(r"\{\{|\{%")

PATTERNS = (
    _pattern(
        "TEMPLATE_CODE",
        rf"__(?:{DUNDERS})__",
        r"\.\s*__\w+",
        r"\[\s*['\"]__\w+",
        r"_TemplateReference__\w+",
        r"\.\s*(?:func_globals|gi_frame|gi_code|cr_frame|f_globals|f_builtins)\b",
        # An underscore that hides behind an escape of a Jinja literal.
        r"\\x5[fF]|\\u005[fF]|\\137",
        OS_CALLS + r"\b",
        PROCESS_CALLS + r"\b",
        r"\b(?:eval|exec)\s*\(",
        in_templates=True,
    ),
    # A name put together inside a subscript: cycler['_'*2 ~ 'init']. An ordinary
    # template names its keys, and joins only what it prints.
    _pattern(
        "TEMPLATE_DYNAMIC_ATTRIBUTE",
        r"\|\s*attr\s*\(",
        SUBSCRIPT + r"[^\[\]]{0,80}['\"]\s{0,5}[+~%]",
        SUBSCRIPT + r"[^\[\]]{0,80}[+~%]\s{0,5}['\"]",
        SUBSCRIPT + r"\s{0,5}['\"][^'\"\]]{0,40}['\"]\s{0,5}['\"]",
        SUBSCRIPT + r"[^\[\]]{0,80}\|\s{0,5}(?:join|format|replace|reverse)\b",
        SUBSCRIPT + r"[^\[\]]{0,80}\.(?:join|format|replace)\s{0,5}\(",
        in_templates=True,
    ),
    _pattern(
        "TEMPLATE_INCLUDE",
        r"\{%[-+]?\s*(?:include|import|extends|from)\b",
        in_templates=True,
    ),
    # `"{0.__class__}".format(x)` walks attributes as a template does.
    _pattern("FORMAT_STRING_ATTRIBUTE", r"\{\w{0,40}(?:\.\w{1,40}){0,4}\.__\w+__"),
    _pattern(
        "CODE_IN_TEXT",
        r"__import__\s*\(\s*['\"]",
        r"__class__\s*\.\s*__(?:mro|bases?|subclasses|init)__",
        OS_CALLS + r"\s*\(\s*[\w'\"\[]",
        PROCESS_CALLS + r"\s*\(\s*[\w'\"\[]",
        r"\b(?:eval|exec)\s*\(\s*(?:compile|base64|codecs|bytes|zlib|marshal|open)\b",
        r"\b(?:pickle|marshal|dill|cloudpickle)\s*\.\s*loads?\s*\(\s*[\w'\"]",
    ),
    _pattern(
        "SHELL_IN_TEXT",
        r"\b(?:curl|wget)\s[^|\n]{1,300}\|\s*(?:sudo\s+)?(?:ba|z|da)?sh\b",
        r"/dev/tcp/[\w.]+/\d",
        r"\bpowershell(?:\.exe)?\s+-(?:e|en|enc|encodedcommand)\s",
        r"\brm[ \t]-[rf]{2}\s+[/~]",
        r"\$\{jndi:\w",
    ),
)


# Every match of a rule is longer than this and holds one of these.
SHORTEST = 6
TRIGGERS = ("__", "{{", "{%", "(", "|", "/dev/", "shell", "rm -", "rm\t-", "${")


def is_suspect(text: str) -> bool:
    """Whether `search` may find something; fast, for a vocabulary of a million."""
    if len(text) < SHORTEST:
        return False
    return any(trigger in text for trigger in TRIGGERS)


def search(text: str) -> dict[str, tuple[str, ...]]:
    """Return the rules that match in `text`, each with the distinct pieces it hit."""
    opener = OPENER.search(text)
    found: dict[str, tuple[str, ...]] = {}
    for pattern in PATTERNS:
        if pattern.in_templates and opener is None:
            continue
        start = opener.start() if opener and pattern.in_templates else 0
        pieces = _pieces(pattern.expression, text, start)
        if pieces:
            found[pattern.rule] = pieces
    return found


def _pieces(expression: re.Pattern[str], text: str, start: int) -> tuple[str, ...]:
    pieces: dict[str, None] = {}
    for match in expression.finditer(text, start):
        pieces[match[0][:MATCH_LENGTH]] = None
        if len(pieces) == MATCHES_PER_TEXT:
            break
    return tuple(pieces)
