from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from apikeys.addresses import block_of, client_address
from apikeys.checks import check_trusted_proxies


def address(peer: str, forwarded: str | None = None) -> str:
    extra = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
    return client_address(RequestFactory().get("/", REMOTE_ADDR=peer, **extra))


def test_it_believes_no_header_of_a_stranger(settings):
    settings.TRUSTED_PROXIES = []
    assert address("198.51.100.7", "203.0.113.9") == "198.51.100.7"


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ("203.0.113.9", "203.0.113.9"),
        # The client wrote the first one itself.
        ("1.1.1.1, 203.0.113.9", "203.0.113.9"),
        ("1.1.1.1, 203.0.113.9, 10.0.0.8", "203.0.113.9"),
        ("203.0.113.9:51234", "203.0.113.9"),
        ("[2001:db8::5]:443", "2001:db8::5"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        # What is no address says nothing: the last known hop it is.
        ("203.0.113.9, nonsense, 10.0.0.8", "10.0.0.8"),
        ("", "10.0.0.2"),
        (",,", "10.0.0.2"),
        ("10.0.0.9, 10.0.0.8", "10.0.0.9"),
    ],
)
def test_behind_a_trusted_proxy_it_takes_the_rightmost_untrusted_hop(
    settings, forwarded, expected
):
    settings.TRUSTED_PROXIES = ["10.0.0.0/24", "192.0.2.1"]
    assert address("10.0.0.2", forwarded) == expected


def test_a_peer_on_a_unix_socket_has_no_address(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/24"]
    assert address("", "203.0.113.9") == ""


@given(st.text(st.characters(codec="latin-1"), max_size=60))
def test_no_header_can_break_it(forwarded):
    assert address("127.0.0.1", forwarded) == "127.0.0.1"


def test_an_ipv6_client_is_its_whole_64():
    assert block_of("2001:db8::1") == block_of("2001:db8::ffff:2")
    assert block_of("2001:db8:0:1::1") != block_of("2001:db8::1")
    assert block_of("203.0.113.9") != block_of("203.0.113.10")
    assert block_of("") == "unknown"


def test_a_proxy_that_is_no_address_is_refused_at_the_start(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/24", "proxy.example"]
    assert [error.id for error in check_trusted_proxies(None)] == ["apikeys.E001"]
    with pytest.raises(ImproperlyConfigured, match=r"proxy\.example"):
        address("10.0.0.2")
