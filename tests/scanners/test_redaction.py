"""What a secret is, and that it is gone."""

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanners.contract import (
    Category,
    Coverage,
    Location,
    Report,
    ReportedFinding,
    Rule,
    Severity,
    Skipped,
)
from scanners.mcp_rules.formats import FORMATS
from scanners.mcp_rules.secrets import find
from scanners.mcp_rules.tokens import is_placeholder, may_hold_one, tokens_in
from scanners.redaction import mask, redact, secrets_of
from tests.scanners.mcp_samples import (
    AWS_KEY_ID,
    AWS_SECRET,
    CLEAN_CONFIG,
    GITHUB_TOKEN,
    GOOGLE_KEY,
    HARMLESS,
    JWT,
    MANY,
    OPENAI_KEY,
    PASSWORD,
    RANDOM,
    SECRETS,
    SLACK_TOKEN,
    document,
    tool,
)

PRIVATE_KEY = (
    "-----BEGIN RSA PRIVATE" + " KEY-----\n" + f"{RANDOM}\n" * 4 + "-----END RSA "
)
OWN_KEY = "ssk_" + RANDOM[:8] + "_" + (RANDOM + RANDOM)[:38]


@pytest.mark.parametrize("name", SECRETS)
def test_it_finds_the_secret_of_a_server(name: str) -> None:
    server, field = SECRETS[name]

    found = find(document(config={"mcpServers": {name: server}}))

    assert [secret.server for secret in found] == [name]
    assert found[0].pointer.startswith(f"/config/mcpServers/{name}/{field}")
    assert found[0].value in json.dumps(server)


def test_it_takes_no_placeholder_for_a_secret() -> None:
    assert find(CLEAN_CONFIG) == []


@pytest.mark.parametrize("harmless", [HARMLESS, MANY], ids=["harmless", "many"])
def test_ordinary_lists_hold_no_secret(harmless: dict[str, Any]) -> None:
    assert secrets_of(harmless) == frozenset()


@pytest.mark.parametrize(
    "value",
    [
        "${TOKEN}",
        "$TOKEN",
        "${env:TOKEN}",
        "{{ token }}",
        "%TOKEN%",
        "<your-key>",
        "your-api-key-here",
        "YOUR_GITHUB_TOKEN",
        "changeme",
        "***",
        "xxxxxxxxxxxx",
        "sk-...",
        "true",
        "1234567890",
        "3.14159",
        "production",
        "read-only",
        "/etc/keys/app.pem",
        "./secret.txt",
        "C:\\keys\\app.pem",
        "",
    ],
)
def test_a_placeholder_is_no_secret(value: str) -> None:
    assert is_placeholder(value)


@pytest.mark.parametrize("value", [PASSWORD, RANDOM, "hunter2", AWS_SECRET])
def test_a_password_is_no_placeholder(value: str) -> None:
    assert not is_placeholder(value)


@pytest.mark.parametrize(
    "token",
    [
        GITHUB_TOKEN,
        AWS_KEY_ID,
        OPENAI_KEY,
        SLACK_TOKEN,
        GOOGLE_KEY,
        JWT,
        PRIVATE_KEY,
        OWN_KEY,
    ],
)
def test_a_well_known_token_is_found_and_masked_anywhere(token: str) -> None:
    text = f"Call it with {token} please"

    assert [value for _, value in tokens_in(text)]
    assert token[8:24] not in mask(text)
    assert secrets_of(document(tools=[tool("a", text)]))
    assert secrets_of(document(config={"mcpServers": {"a": {"x": [{"y": text}]}}}))


@pytest.mark.parametrize(
    "text",
    [
        "sk-learn-is-a-library-name",
        "ghp_" + "x" * 36,
        "AKIAIOSFODNN7" + "EXAMPLE",
        "task-force-and-other-words-with-dashes",
        "sha256:" + "0a1b2c3d" * 8,
    ],
)
def test_what_only_resembles_a_token_is_left_alone(text: str) -> None:
    assert mask(text) == text


def test_a_mask_keeps_four_characters_of_a_long_value_only() -> None:
    secrets = frozenset({RANDOM, "hunter2"})

    assert mask(f"{RANDOM}/hunter2", secrets) == f"{RANDOM[:4]}********/********"


@pytest.mark.parametrize("secret", [PASSWORD + ' /?&="\n€', GITHUB_TOKEN])
@pytest.mark.parametrize("encode", ["raw", "url", "all", "json", "ascii", "base64"])
def test_every_form_of_a_secret_is_masked(secret: str, encode: str) -> None:
    forms = {
        "raw": secret,
        "url": quote(secret),
        "all": quote(secret, safe=""),
        "json": json.dumps(secret, ensure_ascii=False),
        "ascii": json.dumps(secret),
        "base64": base64.b64encode(f"user:{secret}".encode()).decode(),
    }
    text = f"before {forms[encode]} after"

    hidden = mask(text, frozenset({secret}))

    middle = forms[encode][len(forms[encode]) // 2 :][:6]
    assert middle not in hidden
    assert hidden.startswith("before")
    assert hidden.endswith("after")


def test_a_secret_inside_another_is_masked_with_it() -> None:
    longer = RANDOM + "TAIL99"

    assert "TAIL99" not in mask(longer, frozenset({RANDOM, longer}))


def test_what_a_tool_cut_off_is_masked_too() -> None:
    secrets = frozenset({RANDOM})

    assert RANDOM[4:12] not in mask(f"token={RANDOM[:14]}", secrets)
    assert RANDOM[-8:] not in mask(f"{RANDOM[-12:]} and so on", secrets)


def test_a_password_in_a_basic_header_is_a_secret_by_itself() -> None:
    value = base64.b64encode(f"app:{PASSWORD}".encode()).decode()
    server = {
        "url": "https://x.example",
        "headers": {"Authorization": f"Basic {value}"},
    }

    assert {value, PASSWORD} <= secrets_of(
        document(config={"mcpServers": {"a": server}})
    )


def finding(text: str, key: str = "") -> ReportedFinding:
    return ReportedFinding(
        rule=Rule(
            "x:Y", Severity.HIGH, Category.OTHER, text, text, is_catalogued=False
        ),
        title=text,
        description=text,
        location=Location(text, text, server=text, tool=text),
        evidence={text: [text, {"a": (text,)}], "n": 5},
        element=text,
        evidence_key=key or text,
    )


def test_a_redacted_report_holds_the_secret_nowhere() -> None:
    text = f"a {RANDOM} b"
    coverage = Coverage(
        failed=(Skipped("x", text),), notes=(text,), identified={"x": text}
    )

    redacted = redact(Report((finding(text),), coverage), frozenset({RANDOM}))

    assert RANDOM not in repr(redacted)
    assert redacted.findings[0].evidence["n"] == 5


def test_two_secrets_at_one_place_have_two_evidence_keys() -> None:
    other = RANDOM[:4] + RANDOM[:3:-1]
    report = Report((finding("x", RANDOM), finding("x", other)))

    keys = [f.evidence_key for f in redact(report, frozenset({RANDOM, other})).findings]

    assert len(set(keys)) == 2
    assert keys == [
        f.evidence_key for f in redact(report, frozenset({RANDOM, other})).findings
    ]


def test_a_report_without_secrets_stays_as_it_is() -> None:
    report = Report((finding("Found REDUCE opcode invoking posix.system"),))

    assert redact(report).findings[0].title == report.findings[0].title


def test_a_nul_character_does_not_reach_the_database() -> None:
    assert "\0" not in mask("a\0b")


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(FORMATS.values())).flatmap(st.from_regex))
def test_no_token_is_passed_over(token: str) -> None:
    assert may_hold_one(token)


@pytest.mark.parametrize(
    "piece", ["eyJ", "-----BEGIN", "sk-", "xoxb-", "https://a:b", "?a=b", "a_", "${"]
)
def test_a_long_text_that_looks_like_secrets_is_read_once(piece: str) -> None:
    text = piece * (300_000 // len(piece))
    server = {"command": text, "args": [text], "env": {"TOKEN": text}, "url": text}

    # Quadratic patterns would take an hour here.
    assert len(find(document(config={"mcpServers": {"a": server}}))) <= 100
    assert mask(text)
