"""Which places of the network a fetch may reach: pure rules, nothing is contacted.

What is allowed is what the public internet routes. Everything else (this machine, its
neighbours, cloud metadata, tunnels that smuggle an IPv4 address) is refused, unless
the operator names it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

type Address = IPv4Address | IPv6Address
type Network = IPv4Network | IPv6Network

MAX_HOST = 253
LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
# What the C library, unlike us, would read as a number: 127.1, 0x7f.1, 2130706433.
NUMERIC = re.compile(r"([0-9]+|0x[0-9a-f]*)")

# https://www.iana.org/assignments/iana-ipv4-special-registry, and what is not there:
# addresses of clouds' own services.
SPECIAL_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "168.63.129.16/32",  # Azure's host service has a public address
    )
)
# Only 2000::/3 is routed: mapped, NAT64 (64:ff9b::), ULA and link-local lie outside.
ROUTED_V6 = IPv6Network("2000::/3")
# https://www.iana.org/assignments/iana-ipv6-special-registry: Teredo and ORCHID
# (2001::/23), documentation, 6to4, AS112.
SPECIAL_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
# A name on the operator's list opens private addresses, but these only their network.
NEVER_BY_NAME = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",
        "100.100.100.200/32",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "192.0.0.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "::ffff:0:0/96",
        "fd00:ec2::/32",
        "fe80::/10",
        "ff00::/8",
    )
)


def is_public(address: Address) -> bool:
    """Whether the public internet routes `address` to a host of its own."""
    if isinstance(address, IPv4Address):
        return address.is_global and not any(address in net for net in SPECIAL_V4)
    return (
        address in ROUTED_V6
        and address.scope_id is None
        and address.is_global
        and not any(address in net for net in SPECIAL_V6)
    )


def normal_host(text: str) -> str:
    """Return a host name or IP literal in one spelling; raise `ValueError`.

    An IPv6 literal comes without brackets. Numbers that are no IPv4 address in the
    usual spelling are refused rather than guessed at.
    """
    host = text.lower().removesuffix(".")
    if ":" in host:
        if "%" in host:
            raise ValueError("an address holds no zone")
        return str(IPv6Address(host))
    labels = host.split(".")
    if len(host) > MAX_HOST or not all(LABEL.fullmatch(label) for label in labels):
        raise ValueError("this is no host name; write others in their xn-- form")
    if NUMERIC.fullmatch(labels[-1]):
        return str(IPv4Address(host))
    return host


def literal(host: str) -> Address | None:
    """Return the address that a normal host is, or None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the operator opens besides the public internet.

    `names` are host names, `*.example` for all below; `networks` are addresses.
    """

    names: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, entries: Sequence[str]) -> Allowed:
        """Read the operator's list; raise `ValueError` naming a wrong entry."""
        names: list[str] = []
        networks: list[Network] = []
        for entry in (raw.strip().lower() for raw in entries):
            try:
                networks.append(ip_network(entry))
                continue
            except ValueError:
                name = entry.removeprefix("*.")
            try:
                host = normal_host(name)
            except ValueError as error:
                raise ValueError(f"{entry!r}: {error}") from error
            names.append(entry.replace(name, host))
        return cls(tuple(names), tuple(networks))

    def permits(self, host: str, address: Address) -> bool:
        """Whether `host`, which resolved to `address`, may be contacted there."""
        if is_public(address) or any(address in net for net in self.networks):
            return True
        if any(address in net for net in NEVER_BY_NAME):
            return False
        return any(
            host == name or (name[:2] == "*." and host.endswith(name[1:]))
            for name in self.names
        )
