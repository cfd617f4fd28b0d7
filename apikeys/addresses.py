"""Where a request really comes from."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from rest_framework.request import Request

type Address = IPv4Address | IPv6Address
type Network = IPv4Network | IPv6Network


def client_address(request: HttpRequest | Request) -> str:
    """Return the client's address, '' when there is none (a unix socket's peer).

    `X-Forwarded-For` is read only when the peer is one of our proxies
    (`settings.TRUSTED_PROXIES`), and then from the right: each proxy appends what it
    saw, so the rightmost address that is no proxy of ours is the last one that nobody
    could invent.
    """
    peer = _address(request.META.get("REMOTE_ADDR", ""))
    if peer is None:
        return ""
    trusted = trusted_networks(tuple(settings.TRUSTED_PROXIES))
    seen = peer
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    while hops and _is_in(seen, trusted):
        hop = _address(hops.pop())
        if hop is None:
            break
        seen = hop
    return str(seen)


def is_direct_from(request: HttpRequest | Request, networks: Iterable[Network]) -> bool:
    """Whether the client is in one of `networks`, as far as that can be known.

    A request that a proxy forwarded which is none of ours may come from anywhere.
    """
    client = _address(client_address(request))
    if client is None:
        return False
    is_forwarded = {"HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED"} & set(request.META)
    if is_forwarded and client == _address(request.META.get("REMOTE_ADDR", "")):
        return False
    return _is_in(client, tuple(networks))


@lru_cache(maxsize=4)
def trusted_networks(proxies: tuple[str, ...]) -> tuple[Network, ...]:
    """Parse addresses and networks; raise ImproperlyConfigured for anything else."""
    try:
        return tuple(ip_network(proxy.strip(), strict=False) for proxy in proxies)
    except ValueError as error:
        raise ImproperlyConfigured(f"SENTRASCAN_TRUSTED_PROXIES: {error}") from error


def block_of(address: str) -> str:
    """Return what one client is given: an IPv4 address, or an IPv6 /64.

    Who has one IPv6 address has 2^64 of them (RFC 6177).
    """
    parsed = _address(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, 64), strict=False))
    return str(parsed or "unknown")


def _is_in(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)


@lru_cache(maxsize=1024)
def _address(text: str) -> Address | None:
    """Parse `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]:80`; None for anything else."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        # A zone (fe80::1%eth0) is no part of what a database takes as an address.
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address
