"""Secrets of many issuers, wherever a configuration keeps them, and what is none.

The values are drawn here, letter by letter: this file holds none.
"""

from __future__ import annotations

import base64
import random
import re
import string
from typing import Any

import pytest

from scanners.mcp_rules.command import report_on
from scanners.mcp_rules.formats import FORMATS
from scanners.mcp_rules.secrets import find

LETTERS = {
    "A": string.ascii_letters + string.digits,
    "W": string.ascii_letters + string.digits + "-_",
    "B": string.ascii_letters + string.digits + "+/",
    "H": "0123456789abcdef",
    "U": string.ascii_uppercase + string.digits,
    "L": string.ascii_lowercase + string.digits,
    "D": "123456789",
    "2": "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
}
DRAWN = re.compile(r"\{([AWBHULD2])(\d+)\}")
UUID = "{H8}-{H4}-{H4}-{H4}-{H12}"
# As it is issued: {A36} stands for 36 letters of one alphabet.
ISSUED = {
    "GitHub": "ghp_{A36}",
    "GitHub, fine-grained": "github_pat_{A22}_{A59}",
    "GitLab": "glpat-{W20}",
    "AWS": "AKIA{216}",
    "Google": "AIza{W35}",
    "Google OAuth": "GOCSPX-{W28}",
    "Azure storage": "DefaultEndpointsProtocol=https;AccountKey={B86}==;A=b",
    "Azure client": "{A3}8Q~{W34}",
    "Slack": "xoxb-{D12}-{D12}-{A24}",
    "Slack webhook": "https://hooks.slack.com/services/T{U9}/B{U9}/{A24}",
    "Discord": "{discord}.{W6}.{W38}",
    "Telegram": "{D10}:AA{W33}",
    "Twilio": "SK{H32}",
    "SendGrid": "SG.{W22}.{W43}",
    "Mailgun": "key-{H32}",
    "Mailchimp": "{H32}-us14",
    "Resend": "re_{A8}_{A24}",
    "Stripe": "sk_live_{A99}",
    "Square": "sq0atp-{W22}",
    "Shopify": "shpat_{H32}",
    "OpenAI": "sk-proj-{W74}T3BlbkFJ{W74}",
    "Anthropic": "sk-ant-api03-{W93}AA",
    "Hugging Face": "hf_{A34}",
    "Groq": "gsk_{A52}",
    "Replicate": "r8_{A37}",
    "Perplexity": "pplx-{A48}",
    "xAI": "xai-{A80}",
    "ElevenLabs": "sk_{H48}",
    "LangSmith": "lsv2_pt_{H32}_{H10}",
    "Pinecone": "pcsk_{A5}_{A60}",
    "Tavily": "tvly-dev-{A32}",
    "Firecrawl": "fc-{H32}",
    "Brave": "BSA7{W26}",
    "npm": "npm_{A36}",
    "PyPI": "pypi-AgEIcHlwaS5vcmc{W120}",
    "RubyGems": "rubygems_{H48}",
    "Docker": "dckr_pat_{W27}",
    "Artifactory": "AKCp{A69}",
    "Notion": "ntn_{A46}",
    "Linear": "lin_api_{A40}",
    "Figma": "figd_{W40}",
    "Airtable": "pat{A14}.{H64}",
    "Atlassian": "ATATT3xFfGF0{W171}={U8}",
    "HubSpot": f"pat-eu1-{UUID}",
    "ClickUp": "pk_{D8}_{U32}",
    "Postman": "PMAK-{H24}-{H34}",
    "Dropbox": "sl.{W136}",
    "DigitalOcean": "dop_v1_{H64}",
    "Heroku": "HRKU-AA{W58}",
    "Netlify": "nfp_{A36}",
    "Supabase": "sbp_{H40}",
    "Neon": "napi_{L64}",
    "PlanetScale": "pscale_tkn_{W43}",
    "Databricks": "dapi{H32}",
    "Vault": "hvs.{W90}",
    "Terraform": "{A14}.atlasv1.{W67}",
    "Doppler": "dp.st.dev.{A40}",
    "Tailscale": "tskey-auth-{A12}-{A32}",
    "Grafana": "glsa_{A32}_{H8}",
    "New Relic": "NRAK-{U27}",
    "Sentry": "sntryu_{H64}",
    "PostHog": "phx_{A43}",
    "CircleCI": "CCIPAT_{A22}_{H40}",
    "Buildkite": "bkua_{H40}",
    "SentraScan": "ssk_{A8}_{A38}",
    "JSON Web Token": "eyJ{A33}.eyJ{A60}.{W43}",
    "age": "AGE-SECRET-KEY-1{U58}",
}
# What names a thing, and lets nobody in.
HARMLESS = {
    "digest": "{H64}",
    "commit": "{H40}",
    "identifier": "{H32}",
    "UUID": UUID,
    "image": "ghcr.io/acme/server@sha256:{H64}",
    "channel": "C{U10}",
    "role": "arn:aws:iam::123456789012:role/mcp-reader-role",
    "address": "https://api.acme.example/v1/workspaces/acme-production",
    "path": "/home/ana/projects/acme-production/data/customers.sqlite3",
    "model": "anthropic.claude-sonnet-4-20250514-v1:0",
    "key of a project": "phc_{A43}",
    "wallet": "0x{H40}",
    "package": "@modelcontextprotocol/server-sequential-thinking@2025.7.1",
    "class": "OrganizationServiceFactoryImplementationForTenantsV2",
    "long name": "BSA-2024-compliance-report-generator-for-banks",
    "dotted name": "NetworkSecurityGroupManagers.client.listAllRulesOfOneSubscription",
    "digest of a file": "sha512-{B86}==",
    "branch": "refs/heads/feature/ACME-1234-add-login-page",
    "zone": "America/Argentina/Buenos_Aires",
}


def drawn(form: str) -> str:
    luck = random.Random(form)
    number = "".join(luck.choices(LETTERS["D"], k=18)).encode()
    form = form.replace("{discord}", base64.b64encode(number).decode())
    return DRAWN.sub(
        lambda match: "".join(luck.choices(LETTERS[match[1]], k=int(match[2]))), form
    )


def kept(value: str) -> list[dict[str, Any]]:
    """Return documents that keep `value` where no name tells what it is."""
    server = {"command": "npx", "args": ["-y", "x@1.0.0"]}
    return [
        {"config": {"mcpServers": {"a": {**server, "env": {"SETTING": value}}}}},
        {"config": {"mcpServers": {"a": {**server, "args": [value]}}}},
        {"config": {"mcpServers": {"a": {**server, "args": [f"--setting={value}"]}}}},
        {"config": {"mcpServers": {"a": {"url": "https://a.example", "x": value}}}},
        {"tools": [{"name": "a", "description": f"Posts to {value} for all."}]},
    ]


def test_every_form_has_an_example() -> None:
    kinds = {s.kind for form in ISSUED.values() for s in find(kept(drawn(form))[0])}

    # What a private key looks like, test_redaction.py shows.
    assert set(FORMATS) - kinds == {"private key"}


@pytest.mark.parametrize("issuer", ISSUED)
def test_a_secret_is_found_wherever_it_stands_and_never_shown(issuer: str) -> None:
    value = drawn(ISSUED[issuer])
    for document in kept(value):
        report = report_on(document)

        assert report["secrets"], document
        assert value not in str(report)


@pytest.mark.parametrize("thing", HARMLESS)
def test_what_only_names_a_thing_is_no_secret(thing: str) -> None:
    for document in kept(drawn(HARMLESS[thing])):
        assert find(document) == []


@pytest.mark.parametrize("form", ["{B40}", "{W40}", "00{W40}", "EAAA{W60}"])
def test_a_value_of_no_known_form_is_found_by_chance_alone(form: str) -> None:
    for document in kept(drawn(form))[:3]:
        assert [secret.kind for secret in find(document)] == ["random value"]


def test_a_token_is_found_at_any_depth_and_as_a_key() -> None:
    value = drawn(ISSUED["GitHub"])
    schema = {"properties": {"a": {"items": [{"default": [value, "short"]}]}}}
    tools = [{"name": "a", "inputSchema": schema}, {"name": "b", "x": {value: 1}}]

    assert [(s.pointer, s.field) for s in find({"tools": tools})] == [
        ("/tools/0/inputSchema/properties/a/items/0/default/0", "default"),
        (f"/tools/1/x/{value}", "x"),
    ]
