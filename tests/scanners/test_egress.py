from __future__ import annotations

import gzip
import time

import pytest

from scanners.addresses import Allowed
from scanners.contract import ScanStopped
from scanners.egress import Allowance, Client
from scanners.pinning import EgressError
from scanners.urls import Rules, read_url
from tests.scanners.far_servers import answer, far_server, moved

LOOPBACK = Allowed.of(["127.0.0.1"])
MIB = 1 << 20


@pytest.fixture
def rules(ca, tmp_path) -> Rules:
    """Loopback is allowed by its address, every name leads there, waits are short."""
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(path)
    return changed(Rules(), ca_file=str(path), allowed=LOOPBACK)


def changed(rules: Rules, **fields) -> Rules:
    settings = {
        "allowed": rules.allowed,
        "is_http_allowed": rules.is_http_allowed,
        "ca_file": rules.ca_file,
        "answer_seconds": 1,
        "period_seconds": 1,
        "resolver": lambda host, port: ["127.0.0.1"],
    }
    return Rules(**{**settings, **fields})


def go_on(moved: int = 0) -> None:
    return None


def fetched(url: str, rules: Rules, *, limit: int = MIB, checkpoint=go_on, **headers):
    with (
        Client(rules, checkpoint) as client,
        client.get(read_url(url, rules), Allowance(limit), headers) as got,
    ):
        return got.status, got.whole()


def refusal(url: str, rules: Rules, **options) -> str:
    with pytest.raises(EgressError) as refused:
        fetched(url, rules, **options)
    return str(refused.value)


def test_it_fetches_over_tls_from_an_allowed_address(ca, rules):
    with far_server(lambda asked: answer(b"weights"), ca) as server:
        assert fetched(server.url("/m?a=b"), rules) == (200, b"weights")
    (asked,) = server.asked
    assert (asked.target, asked.server_name) == ("/m?a=b", "localhost")
    assert asked.headers["host"] == f"localhost:{server.port}"
    assert asked.headers["accept-encoding"] == "identity"


def test_without_leave_no_spelling_reaches_this_machine(ca, rules):
    closed = changed(rules, allowed=Allowed())
    with far_server(lambda asked: answer(b"secret"), ca) as server:
        for name in ("localhost", "localhost.", "127.0.0.1.nip.example", "a_b"):
            said = refusal(server.url(host=name), closed)
            assert "unknown or at an address" in said
    assert server.asked == []


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["169.254.169.254"],
        ["10.0.0.1"],
        ["8.8.8.8", "127.0.0.1"],
        ["127.0.0.1", "8.8.8.8"],
        ["fe80::1%lo"],
        ["no address"],
        [],
    ],
)
def test_one_forbidden_answer_of_the_resolver_is_enough(addresses):
    rules = changed(Rules(), resolver=lambda host, port: addresses)
    assert "unknown or at an address" in refusal("https://rebind.example/", rules)


def test_unknown_and_forbidden_names_read_the_same():
    def unknown(host, port):
        raise OSError("no such name")

    first = refusal("https://a.example/", changed(Rules(), resolver=unknown))
    inner = changed(Rules(), resolver=lambda host, port: ["10.0.0.1"])
    assert first == refusal("https://a.example/", inner)


def test_a_name_is_asked_once_and_its_second_answer_never_counts(ca, rules):
    answers = iter([["127.0.0.1"], ["127.0.0.2"], ["127.0.0.3"]])
    asked = []

    def fickle(host, port):
        asked.append(host)
        return next(answers)

    with far_server(lambda asked: answer(b"x"), ca, "fickle.example") as server:
        url = server.url(host="fickle.example")
        assert fetched(url, changed(rules, resolver=fickle)) == (200, b"x")
    assert asked == ["fickle.example"]
    assert server.asked[0].server_name == "fickle.example"


def test_a_name_that_rebinds_between_two_connections_is_checked_again(ca, rules):
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])
    fickle = changed(rules, resolver=lambda host, port: next(answers))
    with far_server(lambda asked: moved("/again"), ca) as server:
        assert "unknown or at an address" in refusal(server.url(), fickle)
    assert len(server.asked) == 1


def test_a_silent_resolver_is_not_waited_for():
    rules = changed(
        Rules(), resolve_seconds=0.2, resolver=lambda host, port: time.sleep(20)
    )
    started = time.monotonic()
    assert "unknown" in refusal("https://a.example/", rules)
    assert time.monotonic() - started < 15


def test_the_certificate_must_be_of_the_name_and_of_a_known_authority(ca, rules):
    with far_server(lambda asked: answer(b"x"), ca, "other.example") as server:
        assert "certificate of localhost" in refusal(server.url(), rules)
    with far_server(lambda asked: answer(b"x"), ca) as server:
        stranger = changed(rules, ca_file="")
        assert "certificate of localhost" in refusal(server.url(), stranger)
    assert server.asked == []


def test_plain_http_is_fetched_where_the_operator_allows_it(rules):
    plain = changed(rules, is_http_allowed=True)
    with far_server(lambda asked: answer(b"x")) as server:
        assert fetched(server.url(), plain) == (200, b"x")


def test_a_handshake_that_never_comes_is_not_waited_for(rules):
    hasty = changed(rules, connect_seconds=0.5)
    with far_server(lambda asked: answer(b"x")) as server:  # it waits for a request
        url = server.url().replace("http:", "https:")
        assert "in time" in refusal(url, hasty)


def test_three_redirects_are_followed_and_the_fourth_is_not(ca, rules):
    def hop(asked):
        left = int(asked.target[1:])
        return moved(f"/{left - 1}") if left else answer(b"there")

    with far_server(hop, ca) as server:
        assert fetched(server.url("/3"), rules) == (200, b"there")
        assert "more often than allowed" in refusal(server.url("/4"), rules)


def test_a_redirect_loop_ends(ca, rules):
    with far_server(lambda asked: moved(asked.target), ca) as server:
        assert "more often than allowed" in refusal(server.url("/a"), rules)
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    "location",
    [
        "http://localhost:{port}/inner",
        "https://127.0.0.2:{port}/inner",
        "https://[::1]:{port}/inner",
        "https://2130706433:{port}/inner",
        "https://169.254.169.254/latest/meta-data/",
        "//0x7f.2:{port}/inner",
        "https://user@localhost:{port}/inner",
        "file:///etc/passwd",
        "gopher://localhost/",
        "https://localhost:22/",
        "https://localhost:{port}/\\inner",
        "/caf\u00e9",
    ],
)
def test_a_redirect_is_checked_like_a_first_request(ca, rules, location):
    lax = changed(rules, is_http_allowed=True)
    with far_server(
        lambda asked: [
            b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: "
            + location.format(port=server.port).encode("latin-1")
            + b"\r\n\r\n"
        ],
        ca,
    ) as server:
        assert "redirects" in refusal(server.url(), lax)
    assert [asked.target for asked in server.asked] == ["/"]


def test_a_redirect_to_a_name_of_this_machine_is_refused(ca, rules):
    """The first name is the operator's own, the second leads to loopback as well."""
    named = changed(rules, allowed=Allowed.of(["localhost"]))
    with far_server(
        lambda asked: moved(f"https://evil.example:{server.port}/inner"), ca
    ) as server:
        assert "evil.example is unknown" in refusal(server.url(), named)
    assert len(server.asked) == 1


def test_a_token_stays_with_the_host_that_it_is_for(ca, rules):
    with far_server(lambda asked: answer(b"x"), ca) as other:

        def reply(asked):
            if asked.target == "/far":
                return moved(other.url("/elsewhere"))
            return answer(b"x") if asked.target == "/b" else moved("/b")

        with far_server(reply, ca) as server:
            assert fetched(server.url("/a"), rules, Authorization="t")[0] == 200
            assert fetched(server.url("/far"), rules, Authorization="t")[0] == 200
    assert all("authorization" in asked.headers for asked in server.asked)
    assert [asked.headers.get("authorization") for asked in other.asked] == [None]


def test_a_body_without_end_ends_at_the_limit(ca, rules):
    def endless(asked):
        yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        yield from [b"10000\r\n" + b"x" * 0x10000 + b"\r\n"] * 200

    with far_server(endless, ca) as server:
        assert "larger" in refusal(server.url(), rules, limit=MIB)


def test_a_body_that_says_it_is_too_large_is_not_even_begun(ca, rules):
    with far_server(lambda asked: answer(b"x", length=MIB + 1), ca) as server:
        assert "larger" in refusal(server.url(), rules, limit=MIB)


@pytest.mark.parametrize(
    "reply",
    [
        answer(b"short", length=100),
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nx"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nxx"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
        [b"HTTP/9.9 banana\r\n\r\n"],
        [b"SSH-2.0-OpenSSH_9.2\r\n"],
        [b""],
        [b"HTTP/1.1 200 OK\r\nX: " + b"a" * MIB],
        [b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 100_000],
    ],
)
def test_a_broken_answer_is_no_file(ca, rules, reply):
    with far_server(lambda asked: reply, ca) as server:
        assert "broke off or sent no valid answer" in refusal(server.url(), rules)


def test_a_body_without_a_length_could_be_cut_and_is_refused(ca, rules):
    with far_server(lambda asked: answer(b"half", length=-1), ca) as server:
        assert "how long" in refusal(server.url(), rules)


def test_more_than_the_announced_length_is_not_read(ca, rules):
    with far_server(lambda asked: answer(b"announced+more", length=9), ca) as server:
        assert fetched(server.url(), rules) == (200, b"announced")


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip", "GZIP"])
def test_a_compressed_answer_is_refused_before_anything_expands(ca, rules, coding):
    bomb = gzip.compress(bytes(10 * MIB))
    with far_server(lambda a: answer(bomb, Content_Encoding=coding), ca) as server:
        assert "compressed" in refusal(server.url(), rules)


def slowly(first: bytes):
    def reply(asked):
        yield first
        for _ in range(400):
            time.sleep(0.05)
            yield b"x"

    return reply


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", "in time"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "in time"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", "too slowly"),
    ],
)
def test_a_slow_loris_is_left(ca, rules, first, said):
    started = time.monotonic()
    with far_server(slowly(first), ca) as server:
        assert said in refusal(server.url(), rules)
    assert time.monotonic() - started < 15


def test_a_server_that_says_nothing_is_left(ca, rules):
    def silent(asked):
        server.closed.wait(30)
        return []

    with far_server(silent, ca) as server:
        assert "in time" in refusal(server.url(), rules)


def test_a_cancelled_scan_lets_go_of_a_silent_server(ca, rules):
    patient = changed(rules, answer_seconds=60)
    asked = []

    def checkpoint(moved: int = 0):
        if asked:
            raise ScanStopped

    def silent(request):
        asked.append(request)
        server.closed.wait(60)
        return []

    started = time.monotonic()
    with far_server(silent, ca) as server, pytest.raises(ScanStopped):
        fetched(server.url(), patient, checkpoint=checkpoint)
    assert time.monotonic() - started < 15


def test_proxies_of_the_environment_are_not_used(ca, rules, monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with far_server(lambda asked: answer(b"x"), ca) as server:
        assert fetched(server.url(), rules) == (200, b"x")


def test_no_message_shows_what_a_url_may_hold(ca, rules):
    with far_server(lambda asked: moved("/b?token=s3cret"), ca) as server:
        said = refusal(server.url("/path?token=s3cret"), rules)
    assert "s3cret" not in said
    assert "path" not in said


def test_a_refused_connection_is_said_so(rules):
    with far_server(lambda asked: []) as server:
        url = server.url()
    assert "cannot be reached" in refusal(url.replace("http:", "https:"), rules)
