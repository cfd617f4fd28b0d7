"""The proxy of a started server: whom it lets it reach, and for how long."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network

import pytest
import trustme

from scanners.addresses import Allowed
from scanners.proxy import Bounds, Proxy

from .far_servers import answer, far_server
from .proxying import (
    HELLO,
    NAMES,
    TOKEN,
    asked,
    connected,
    echoing,
    everything,
    port_of,
    proxy_of,
    proxy_threads,
    request,
    rules,
    tunnel,
)
from .standin import wait_for

# Whoever waits for these instead of ending is seen, however busy the machine is.
PATIENT = Bounds(head_seconds=600, idle_seconds=600)
AT_ONCE = 60


@pytest.fixture
def echo() -> Iterator[socket.socket]:
    with echoing() as listener:
        yield listener


def test_https_goes_through_and_the_client_verifies_it(ca: trustme.CA) -> None:
    with (
        far_server(lambda asked: answer(b"sunny"), ca, "far.example") as far,
        proxy_of(rules()) as proxy,
    ):
        context = ssl.create_default_context()
        ca.configure_trust(context)
        plain = tunnel(proxy, f"far.example:{far.port}")
        with context.wrap_socket(plain, server_hostname="far.example") as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: far.example\r\n\r\n")
            assert everything(client).endswith(b"sunny")
    assert proxy.traffic.contacted == [f"far.example:{far.port}"]
    assert (proxy.traffic.inner, proxy.traffic.refused) == ([], [])
    assert proxy.traffic.excess == ""


def test_plain_http_needs_the_operators_leave() -> None:
    with far_server(lambda asked: answer(b"sunny")) as far:
        line = f"GET http://far.example:{far.port}/a?b=c HTTP/1.1"
        with proxy_of(rules()) as proxy:
            assert asked(proxy, line).startswith("HTTP/1.1 403 ")
        assert proxy.traffic.refused == [f"far.example:{far.port}"]
        assert far.asked == []
        with proxy_of(rules(http=True)) as proxy:
            assert asked(proxy, line, "X-Own: 1", "TE: a").endswith("sunny")
    [got] = far.asked
    assert got.target == "/a?b=c"
    assert got.headers == {
        "host": f"far.example:{far.port}",
        "connection": "close",
        "x-own": "1",
    }


@pytest.mark.parametrize("token", ["", "b" * 32])
def test_a_stranger_is_not_served(token: str, echo: socket.socket) -> None:
    with proxy_of(rules()) as proxy:
        line = f"CONNECT far.example:{port_of(echo)} HTTP/1.1"
        assert asked(proxy, line, token=token).startswith("HTTP/1.1 407 ")
    assert proxy.traffic.contacted == []


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "0",
        "0.0.0.0",
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[fe80::1]",
        "[fe80::1%25lo]",
        "[fd00:ec2::254]",
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "100.100.100.200",
        "168.63.129.16",
        "10.0.0.1",
        "172.17.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
    ],
)
@pytest.mark.parametrize("form", ["CONNECT {}:{} HTTP/1.1", "GET http://{}:{}/ HTTP/1"])
def test_no_spelling_of_a_special_address_is_reached(
    host: str, form: str, echo: socket.socket
) -> None:
    line = form.format(host, port_of(echo)).replace("HTTP/1.1", "HTTP/1")
    with proxy_of(rules(http=True)) as proxy:
        said = asked(proxy, f"{line}.1")
    assert said.startswith("HTTP/1.1 403 "), said
    assert proxy.traffic.contacted == []
    assert len(proxy.traffic.inner) == 1, proxy.traffic


@pytest.mark.parametrize(
    "name",
    [*(name for name in NAMES if name != "far.example"), "unknown.example"],
)
def test_a_name_that_leads_inside_reads_like_an_unknown_one(name: str) -> None:
    with proxy_of(rules()) as proxy:
        said = asked(proxy, f"CONNECT {name}:443 HTTP/1.1")
    assert said.startswith("HTTP/1.1 403 Forbidden\r\n"), said
    assert proxy.traffic.refused == [f"{name}:443"]
    assert proxy.traffic.contacted == []


def test_a_name_that_changes_its_mind_is_checked_each_time(
    echo: socket.socket,
) -> None:
    answers = iter([["127.0.0.1"], ["169.254.169.254"], ["127.0.0.2"]])
    fickle = replace(
        rules(Allowed(networks=(ip_network("127.0.0.1/32"),))),
        resolver=lambda host, port: next(answers),
    )
    place = f"fickle.example:{port_of(echo)}"
    with proxy_of(fickle) as proxy:
        with tunnel(proxy, place) as client:
            client.sendall(HELLO)
            assert client.recv(100) == HELLO
        for _ in range(2):
            said = asked(proxy, f"CONNECT {place} HTTP/1.1")
            assert said.startswith("HTTP/1.1 403 ")
    # asked once for each connection: none is left
    assert list(answers) == []
    assert proxy.traffic.contacted == proxy.traffic.refused == [place]


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("CONNECT far.example:25 HTTP/1.1", "403"),
        ("CONNECT far.example HTTP/1.1", "400"),
        ("CONNECT user@far.example:443 HTTP/1.1", "400"),
        ("CONNECT far.example:443/x HTTP/1.1", "400"),
        ("GET http://u:p@far.example/ HTTP/1.1", "403"),
        ("GET https://far.example/ HTTP/1.1", "400"),
        ("GET ftp://far.example/ HTTP/1.1", "400"),
        ("GET file:///etc/passwd HTTP/1.1", "400"),
        ("GET / HTTP/1.1", "400"),
        ("nonsense", "400"),
    ],
)
def test_all_else_is_refused(line: str, status: str) -> None:
    with proxy_of(rules(http=True)) as proxy:
        assert asked(proxy, line).startswith(f"HTTP/1.1 {status} ")
    assert proxy.traffic.contacted == []


def test_an_allowed_network_is_reached_by_its_address(echo: socket.socket) -> None:
    allowed = Allowed(networks=(ip_network("127.0.0.1/32"),))
    with proxy_of(rules(allowed)) as proxy:
        tunnel(proxy, f"127.0.0.1:{port_of(echo)}").close()
        said = asked(proxy, f"CONNECT 127.0.0.2:{port_of(echo)} HTTP/1.1")
    assert said.startswith("HTTP/1.1 403 ")


@pytest.mark.parametrize(
    "begin",
    [
        b"*1\r\n$8\r\nFLUSHALL\r\n",
        b"\x16\r\nFLUSHALL\r\n",
        b"\x16\x03\x01\x00\x05\x02",
        b"\x16",
    ],
)
def test_a_tunnel_begins_as_tls_does(begin: bytes, echo: socket.socket) -> None:
    place = f"far.example:{port_of(echo)}"
    with proxy_of(rules()) as proxy:
        with tunnel(proxy, place) as client:
            client.sendall(begin)
            assert everything(client) == b""
        with tunnel(proxy, place) as client:
            client.sendall(HELLO)
            assert client.recv(100) == HELLO
    assert proxy.traffic.refused == [f"{place} without TLS"]


def test_a_server_that_speaks_first_is_not_heard() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as mail,
        proxy_of(rules(), Bounds(idle_seconds=1)) as proxy,
        tunnel(proxy, f"far.example:{port_of(mail)}") as client,
    ):
        other, _ = mail.accept()
        with other:
            other.sendall(b"220 mail.example")
            assert everything(client) == b""


@pytest.mark.parametrize("cut", [0, 1, 40])
def test_a_mark_that_goes_out_is_noted_however_it_is_cut(
    cut: int, echo: socket.socket
) -> None:
    mark = "0123456789abcdef" * 2
    with (
        proxy_of(rules(http=True), KEY=mark) as proxy,
        connected(proxy) as client,
    ):
        head = f"POST http://far.example:{port_of(echo)}/ HTTP/1.1"
        client.sendall(request(head, "Content-Length: 90"))
        text = b"x" * 29 + mark.encode() + b"y" * 29
        client.sendall(text[:cut])
        time.sleep(0.3)
        client.sendall(text[cut:])
        assert wait_for(lambda: proxy.traffic.marks == {"KEY"})


@pytest.mark.parametrize(
    "line",
    [
        "CONNECT {}.evil.example:443 HTTP/1.1",
        "GET http://far.example:1/?{} HTTP/1.1",
    ],
)
def test_a_mark_in_the_request_itself_is_noted(line: str) -> None:
    mark = "0123456789abcdef" * 2
    with proxy_of(rules(), KEY=mark) as proxy:
        assert asked(proxy, line.format(mark)).startswith("HTTP/1.1 403")
    assert proxy.traffic.marks == {"KEY"}


def test_a_flood_of_connections_is_cut(echo: socket.socket) -> None:
    with proxy_of(rules(), Bounds(at_once=4)) as proxy:
        clients = [connected(proxy) for _ in range(12)]
        assert wait_for(lambda: sum(map(_is_ended, clients)) == 8)
        for each in clients:
            each.close()
    assert proxy.traffic.excess == "connections"


def _is_ended(client: socket.socket) -> bool:
    return bool(select.select([client], [], [], 0)[0]) and client.recv(1) == b""


def test_only_so_many_connections_are_served_in_all(echo: socket.socket) -> None:
    with proxy_of(rules(), Bounds(connections=3)) as proxy:
        said = [asked(proxy, "GET / HTTP/1.1")[:12] for _ in range(5)]
    assert said == ["HTTP/1.1 400"] * 3 + [""] * 2
    assert proxy.traffic.excess == "connections"


def test_a_head_that_never_ends_is_cut() -> None:
    with proxy_of(rules(), Bounds(head_seconds=1)) as proxy:
        started = time.monotonic()
        with connected(proxy) as client:
            client.sendall(b"GET / HTTP/1.1\r\n")
            for _ in range(8):
                time.sleep(0.25)
                try:
                    client.sendall(b"X: y\r\n")
                except OSError:
                    break
            assert everything(client)[:12] in (b"HTTP/1.1 408", b"")
        assert time.monotonic() - started < 15
        with connected(proxy) as client:
            client.sendall(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000)
            assert everything(client)[:12] in (b"HTTP/1.1 400", b"")


@pytest.mark.parametrize("is_upload", [True, False])
def test_a_huge_transfer_is_cut_for_all(is_upload: bool, echo: socket.socket) -> None:
    place = f"far.example:{port_of(echo)}"
    with proxy_of(rules(), Bounds(total_bytes=1 << 20)) as proxy:
        other = tunnel(proxy, place)
        with tunnel(proxy, place) as client:
            heard = 0
            try:
                for _ in range(64):
                    client.sendall(HELLO + b"\x16" * 65530)
                    heard += 0 if is_upload else len(client.recv(65536))
            except OSError:
                pass
            assert heard < 1 << 20
            assert wait_for(lambda: proxy.traffic.excess == "bytes", 60)
        assert everything(other) == b""
        other.close()


def test_a_silent_tunnel_is_cut(echo: socket.socket) -> None:
    with (
        proxy_of(rules(), Bounds(idle_seconds=1)) as proxy,
        tunnel(proxy, f"far.example:{port_of(echo)}") as client,
    ):
        started = time.monotonic()
        assert everything(client) == b""
        assert time.monotonic() - started < 14  # the usual bound is 15


def test_nothing_is_left_after_its_end(echo: socket.socket) -> None:
    with proxy_of(rules(), PATIENT) as proxy:
        client = tunnel(proxy, f"far.example:{port_of(echo)}")
        client.sendall(HELLO)
        assert client.recv(100) == HELLO
        assert proxy_threads()
        half = connected(proxy)
        half.sendall(b"CONNECT ")
        started = time.monotonic()
    assert time.monotonic() - started < AT_ONCE
    assert everything(client) == everything(half) == b""
    client.close()
    half.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port), 2)
    assert proxy_threads() == []


def test_a_reader_that_stops_does_not_hold_up_its_end() -> None:
    endless = [b"\x16" * (1 << 20)] * 60
    with far_server(lambda asked: [*answer(length=-1), *endless]) as far:
        with proxy_of(rules(http=True), PATIENT) as proxy:
            client = connected(proxy)
            client.sendall(request(f"GET http://far.example:{far.port}/ HTTP/1.1"))
            time.sleep(1)
            started = time.monotonic()
        assert time.monotonic() - started < AT_ONCE
        client.close()


def test_one_proxy_does_not_serve_the_other(echo: socket.socket) -> None:
    line = f"CONNECT far.example:{port_of(echo)} HTTP/1.1"
    with proxy_of(rules()) as one, proxy_of(rules(), token="c" * 32) as two:
        assert one.port != two.port
        assert asked(two, line).startswith("HTTP/1.1 407 ")
        tunnel(one, f"far.example:{port_of(echo)}").close()
    assert two.traffic.contacted == []


def test_what_is_noted_is_bounded() -> None:
    with proxy_of(rules()) as proxy:
        for number in range(40):
            asked(proxy, f"CONNECT n{number}.example:443 HTTP/1.1")
    assert len(proxy.traffic.refused) == 32


def test_a_listener_is_taken_from_the_sandbox_that_made_it(
    echo: socket.socket,
) -> None:
    proxy = Proxy(rules(), token=TOKEN, marks={}, is_outside=True)
    with proxy, socket.create_server(("127.0.0.1", 0)) as made:
        door = socket.socket(fileno=socket.dup(proxy.door))
        socket.send_fds(door, [b"+"], [made.fileno()])
        door.close()
        proxy.port = port_of(made)
        tunnel(proxy, f"far.example:{port_of(echo)}").close()
    assert proxy.traffic.contacted


def test_a_sandbox_that_hands_over_nothing_is_waited_for_no_longer() -> None:
    started = time.monotonic()
    with Proxy(rules(), token=TOKEN, marks={}, is_outside=True):
        pass
    assert time.monotonic() - started < AT_ONCE
