"""Servers are started in the sandbox: their lists come out, and nothing else does."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from scanners import introspect, observations
from scanners.contract import ScanStopped
from scanners.introspect import half_way
from scanners.sandbox import Rung
from scanners.urls import Rules

from . import mcp_servers
from .laboratory import Lab, codes, gap, lists
from .mcp_samples import GITHUB_TOKEN
from .standin import need, need_tcp, strongest

pytestmark = pytest.mark.slow


@pytest.fixture(params=[Rung.BUBBLEWRAP, Rung.LANDLOCK], ids=str)
def rung(request: pytest.FixtureRequest) -> Rung:
    return need(request.param)


@pytest.fixture(params=[None, Rules()], ids=["no network", "with leave"])
def network(request: pytest.FixtureRequest, rung: Rung) -> Rules | None:
    """What a hostile server may not do it may do with a proxy neither."""
    rules: Rules | None = request.param
    if rules:
        need_tcp(rung)
    return rules


def test_a_harmless_server_is_no_gap_and_its_tools_are_elements(
    lab: Lab, rung: Rung
) -> None:
    target = lab.ask("serve()", rung=rung)
    assert target.gaps == ()
    assert target.observed == ()
    assert [e.path for e in target.elements] == ["servers/one", "tools/weather"]
    assert target.document is not None
    assert target.document["origins"]["tools"] == ["one"]


def test_the_digest_covers_the_sources_and_no_canary(lab: Lab) -> None:
    body = "serve(lambda: {'tools': [tool(os.environ['A_KEY'])]})"
    env = {"A_KEY": GITHUB_TOKEN}
    first, again = (lab.ask(body, rung=strongest(), env=env) for _ in range(2))
    assert observations.ECHO in codes(first)
    assert first.digest == again.digest
    other = lab.ask(body + "\n# other", rung=strongest(), env=env)
    assert lists(other) == lists(first)
    assert other.digest != first.digest


@pytest.mark.parametrize(
    "body", [mcp_servers.ENVIRONMENT_DUMP, mcp_servers.ENCODED_DUMP]
)
def test_a_server_never_sees_a_secret_and_an_echo_gives_it_away(
    lab: Lab, rung: Rung, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_WORKER", "its-own")
    env = {"GITHUB_TOKEN": GITHUB_TOKEN, "MODE": "fast", "SERVICE_KEY": "${KEY}"}
    target = lab.ask(body, rung=rung, env=env, args=["server.py", GITHUB_TOKEN])
    [seen] = [each for each in target.observed if each.code == observations.ECHO]
    assert "GITHUB_TOKEN" in seen.detail
    assert "SERVICE_KEY" in seen.detail
    assert GITHUB_TOKEN not in lists(target)
    assert "OF_THE_WORKER" not in lists(target)
    if body == mcp_servers.ENVIRONMENT_DUMP:
        assert "'MODE': 'fast'" in lists(target)


def test_a_server_reads_and_writes_nothing_outside(lab: Lab, rung: Rung) -> None:
    secret = lab.directory / "secret"
    secret.write_text("another scan's upload")
    lines = [
        f"said = tried(lambda: open({str(secret)!r}).read())",
        f"said += tried(lambda: open({str(lab.directory / 'new')!r}, 'w'))",
        "said += tried(lambda: open(__file__, 'a'))",
        "said += tried(lambda: open('/etc/shadow').read())",
        "open(os.path.join(os.environ['HOME'], 'mine'), 'w').close()",
        "serve(lambda: {'tools': [tool(said)]})",
    ]
    target = lab.ask("\n".join(lines), rung=rung)
    assert target.gaps == ()
    assert lists(target).count("refused") == 4
    assert "done" not in lists(target)
    assert not (lab.directory / "new").exists()
    [seen] = target.observed
    assert seen.code == observations.WRITTEN
    assert "mine" in seen.detail


def test_a_server_reaches_no_network(lab: Lab, rung: Rung) -> None:
    target = lab.ask(mcp_servers.NAMES, rung=rung)
    assert lists(target).count("refused") == 2
    assert "done" not in lists(target)


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (mcp_servers.FORK_BOMB, observations.LIMIT, "processes"),
        (mcp_servers.MEMORY_BOMB, observations.LIMIT, "memory"),
        (mcp_servers.HUGE, observations.FLOOD, "more than 4 MB"),
        (mcp_servers.ENDLESS_NOISE, observations.FLOOD, "more than"),
        (mcp_servers.ENDLESS_PAGES, observations.FLOOD, "pages"),
        (mcp_servers.MALFORMED, observations.NOISE, "no MCP"),
        (mcp_servers.HALVES, observations.NOISE, "did not answer"),
        (mcp_servers.DEEP, "", "levels deep"),
        (mcp_servers.TOO_LONG, observations.ECHO, "Longer than 1024"),
        (mcp_servers.MURDERER, "", ""),
        ("raise SystemExit('no such database')", "", "no such database"),
    ],
    ids=[
        "fork",
        "memory",
        "huge",
        "noise",
        "pages",
        "malformed",
        "halves",
        "deep",
        "long",
        "murder",
        "exit",
    ],
)
def test_a_hostile_server_is_ended_and_stays_a_gap(
    lab: Lab, rung: Rung, network: Rules | None, body: str, code: str, words: str
) -> None:
    started = time.monotonic()
    env = {"API_KEY": "${API_KEY}"}
    target = lab.ask(body, rung=rung, network=network, env=env)
    # its 30 s, and the sweep on a busy machine
    assert time.monotonic() - started < 60
    assert words in gap(target)
    assert not code or code in codes(target)


def test_a_server_that_never_answers_is_ended_in_time(
    lab: Lab, rung: Rung, network: Rules | None
) -> None:
    started = time.monotonic()
    target = lab.ask(mcp_servers.SILENT, rung=rung, network=network, seconds=6)
    # generous: it would sleep two minutes
    assert time.monotonic() - started < 60
    assert gap(target)
    assert observations.SILENCE in codes(target)


def test_an_answer_that_readers_read_in_two_ways_is_none(lab: Lab) -> None:
    target = lab.ask(mcp_servers.KEY_TWICE, rung=strongest(), seconds=8)
    assert gap(target)
    assert observations.NOISE in codes(target)
    assert "weather" not in lists(target)


def test_a_server_has_some_seconds_for_each_answer(lab: Lab) -> None:
    target = lab.ask(mcp_servers.SILENT, rung=strongest())
    assert "it did not answer" in gap(target)
    assert codes(target) == {observations.SILENCE, observations.DEAF}


def test_what_a_server_shows_only_the_second_time_is_examined_too(
    lab: Lab, rung: Rung, network: Rules | None
) -> None:
    target = lab.ask(mcp_servers.CHANGING, rung=rung, network=network)
    assert target.gaps == ()
    assert codes(target) == {observations.CHANGE}
    paths = [element.path for element in target.elements]
    assert paths == ["servers/one", "tools/weather", "tools/weather#2"]
    assert "id_rsa" in lists(target)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (mcp_servers.CHATTY, observations.NOISE),
        (mcp_servers.DEAF, observations.DEAF),
        (mcp_servers.DAEMON, observations.LEFT),
        (mcp_servers.CURIOUS, observations.ASKED),
        (mcp_servers.TWO_IN_ONE, observations.NOISE),
        (mcp_servers.TWICE, observations.NOISE),
    ],
    ids=["chatty", "deaf", "daemon", "curious", "two-in-one", "twice"],
)
def test_bad_manners_are_told_and_the_lists_are_kept(
    lab: Lab, rung: Rung, body: str, code: str
) -> None:
    target = lab.ask(body, rung=rung)
    assert codes(target) == {code}
    assert target.gaps == ()
    assert "Returns the weather" in lists(target)


def test_a_server_without_anything_to_list_is_a_gap(lab: Lab) -> None:
    target = lab.ask("serve(lambda: {'tools': []})", rung=strongest())
    assert "lists nothing" in gap(target)


def test_a_server_in_node_is_asked(lab: Lab) -> None:
    if not Path(introspect.NODE).exists():
        pytest.skip("node is not installed")
    target = lab.ask(
        mcp_servers.IN_NODE, rung=strongest(), name="server.js", command="node"
    )
    assert target.gaps == ()
    assert "tools/from-node" in [element.path for element in target.elements]


def test_what_cannot_hold_a_server_never_starts_one(lab: Lab) -> None:
    target = lab.ask("serve()", rung=Rung.RLIMITS)
    assert "cannot isolate" in gap(target)
    assert len(target.elements) == 1


def test_no_server_is_started_when_the_time_is_over(lab: Lab) -> None:
    target = lab.ask("serve()", rung=strongest(), seconds=0)
    assert "no time left" in gap(target)
    assert half_way(time.monotonic() + 100) < time.monotonic() + 51


def test_a_cancelled_scan_ends_its_server(lab: Lab) -> None:
    threading.Timer(3, lab.stop.set).start()
    with pytest.raises(ScanStopped):
        lab.ask(mcp_servers.SILENT, rung=strongest())
