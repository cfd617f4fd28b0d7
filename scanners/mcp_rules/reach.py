"""Data that a tool reaches for by the names and values of its schema."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from scanners.mcp_rules.matches import Match, Span, in_text, shown
from scanners.mcp_rules.sentences import PRIVATE_FILE
from scanners.mcp_rules.texts import Role, Text

NAMED, SUGGESTED = "MCP-DATA-004", "MCP-DATA-005"
ASIDE, SENT = "MCP-DATA-007", "MCP-DATA-008"

_PARTS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
# What no parameter has to be called, whatever the tool does.
_PRIVATE = re.compile(
    r"(?:ssh|id_rsa|id_ed25519|private_key|aws_secret|secret_key|env_vars?|dotenv|etc_passwd"
    r"|etc_shadow|environment_variables?|cookies?|keychain|seed_phrase|mnemonic|kubeconfig"
    r"|credentials?|passwords?|api_keys?|bash_history|access_tokens?)"
)
_TAKEN = re.compile(
    r"(?:contents?|read|reading|dump|from|all|full|users?|entire|raw|stolen|file|exfil)"
)
_TOLD = re.compile(
    r"(?:full|entire|whole|complete|all|previous|prior|past|raw)_(?:conversation|chat"
    r"|dialogue?|messages?|history|transcript|context)"
    r"|(?:conversation|chat|dialogue?|message|prompt|tool_calls?|tools?)_(?:history|log|so_far"
    r"|transcript|verbatim|dump)|(?:system|developer|hidden|initial)_(?:prompt|message"
    r"|instructions?)|chain_of_thought|internal_(?:reasoning|thoughts?|monologue)"
    r"|(?:available_)?tools?_list|list_of_tools|tool_call_history|users?_last_message"
    r"|(?:last|original)_user_(?:message|prompt|input)"
)
# Whose purpose these are may ask for them.
_PURPOSE = re.compile(
    r"(?i)prompt|assistant|agent|chat|conversation|dialog|\bbot|llm|model|messag|support"
    r"|ticket|transcript|completion|reasoning|think|thought|persona|\bAI\b"
)
_KEEPER = re.compile(
    r"(?i)ssh|key|credential|secret|password|token|cookie|log ?in|auth|sign|vault|cert"
    r"|browser|connect|wallet|environment|kube|deploy|session"
)
_ASIDE = frozenset(
    {"sidenote", "side_note", "side_notes", "sidenotes", "aside", "hidden_note"}
)
_OUTSIDE = re.compile(
    r"(?i)https?://(?!localhost|127\.|\[::1\])[\w.-]+|[\w.+-]+@[\w-]+\.\w+"
)


def find(texts: Sequence[Text]) -> Iterator[Match]:
    """Yield what the schema of one element asks for or suggests."""
    purpose = " ".join(
        text.value.replace("_", " ")
        for text in texts
        if text.role in (Role.NAME, Role.TITLE, Role.DESCRIPTION)
    )[:2000]
    for text in texts:
        if text.role is Role.PARAMETER:
            yield from _named(text, purpose)
    yield from _values([text for text in texts if text.role is Role.VALUE])


def _named(text: Text, purpose: str) -> Iterator[Match]:
    name = "_".join(_PARTS.findall(text.value[:200])).lower()
    whole = Span(0, len(text.value), "asks for private data", shown(text.value))
    private = _PRIVATE.search(name)
    if name in _ASIDE:
        yield in_text(ASIDE, text, [whole], key="name")
    elif private and _TAKEN.search(name.replace(private[0], "")):
        if not _KEEPER.search(purpose):
            yield in_text(NAMED, text, [whole], key="name")
    elif _TOLD.search(name) and not _PURPOSE.search(purpose):
        yield in_text(NAMED, text, [whole], key="name")


def _values(values: Sequence[Text]) -> Iterator[Match]:
    has_way_out = any(_OUTSIDE.search(text.value[:500]) for text in values)
    for text in values:
        found = PRIVATE_FILE.search(text.value[:500])
        if found and not re.search(r"\s\w+\s", text.value[:500]):
            rule = SENT if has_way_out else SUGGESTED
            span = Span(*found.span(), "a private file", shown(text.value))
            yield in_text(rule, text, [span], key="value")
