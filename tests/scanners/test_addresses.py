from __future__ import annotations

from ipaddress import ip_address

import pytest

from scanners.addresses import Allowed, is_public, normal_host
from scanners.urls import BadAddress, Rules, read_url

SPECIAL = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "2606:4700::1%eth0",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "52.216.0.1",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
]

# Spellings that some parser somewhere takes for 127.0.0.1 or another special address.
DISGUISED = [
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "0177.0.0.1",
    "0177.1",
    "00000177.0.0.1",
    "0x7f.0.0.1",
    "0x7f.1",
    "0x7f000001",
    "0x7F000001",
    "0x7f.0x0.0x0.0x1",
    "017700000001",
    "2130706433",
    "2130706433.",
    "4294967295",
    "127.0.0.1..",
    "127.0.0.01",
    "127.0.0.0x1",
    "127.0.0.256",
    "1.127.0.0.1",
    "0",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[0000::1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[fe80::1%25lo]",
    "[fe80::1]",
    "[::1%lo]",
    "[127.0.0.1]",
    "[v1.127]",
    "169.254.169.254",
    "0xA9FEA9FE",
    "2852039166",
    "0251.0376.0251.0376",
    "%31%32%37.0.0.1",
    "127%2e0.0.1",
    "127.0.0.1%00.example.com",
    "127.0.0.1%20",
    "127.0.0.1\t",
    "\uff11\uff12\uff17.0.0.1",
    "127\u30020\u30020\u30021",
    "\u2460\u2461\u2466.0.0.1",
    "lo\xadcalhost",
    "exa\nmple.com",
    "a..b",
    ".a",
    "-a.b",
    "example.com\\@127.0.0.1",
    "user@127.0.0.1",
    "user:pw@example.com",
    "@example.com",
    ":@a.b",
    "127.0.0.1:80@example.com",
    "[::1",
    "::1",
    "example.com:0",
    "example.com:22",
    "example.com:-1",
    "example.com:65536",
    "example.com:4x4",
]


@pytest.mark.parametrize("text", SPECIAL)
def test_it_knows_every_special_address(text):
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_public(text):
    assert is_public(ip_address(text))


@pytest.mark.parametrize("host", DISGUISED)
def test_no_disguise_of_a_special_address_is_a_url(host):
    with pytest.raises(BadAddress):
        read_url(f"https://{host}/model.bin", Rules())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://",
        "https:///etc/passwd",
        "https:example.com",
        "//example.com/a",
        "http://example.com/a",
        "ftp://example.com/a",
        "file:///etc/passwd",
        "gopher://example.com/a",
        "https://example.com/a b",
        "https://example.com/a\r\nX-Header: 1",
        "https://example.com\\.evil.example/",
        " https://example.com/",
        "https://example.com/\x00",
        "https://example.com/ü",
        "https://example.com/" + "a" * 2000,
    ],
)
def test_what_is_no_https_url_is_refused(text):
    with pytest.raises(BadAddress):
        read_url(text, Rules())


def test_a_url_is_taken_apart_into_one_spelling():
    url = read_url("HTTPS://Example.COM.:443/a%20b?c=d#e", Rules())
    assert str(url) == "https://example.com/a%20b?c=d"
    assert read_url("https://example.com#@127.0.0.1:8/", Rules()).host == "example.com"
    assert read_url("https://[2606:4700:0:0::1]:8443", Rules()).authority == (
        "[2606:4700::1]:8443"
    )


def test_http_takes_the_operators_leave():
    assert read_url("http://example.com/", Rules(is_http_allowed=True)).port == 80


def test_a_network_on_the_list_opens_exactly_itself():
    allowed = Allowed.of(["10.20.0.0/16", "fd12::/16", "169.254.169.254"])
    assert allowed.permits("mirror", ip_address("10.20.3.4"))
    assert allowed.permits("mirror", ip_address("fd12::1"))
    assert allowed.permits("mirror", ip_address("169.254.169.254"))
    assert allowed.permits("example.com", ip_address("8.8.8.8"))
    for closed in ("10.21.0.1", "fd13::1", "169.254.169.253", "::ffff:10.20.3.4"):
        assert not allowed.permits("mirror", ip_address(closed))


def test_a_name_on_the_list_opens_private_addresses_but_no_metadata():
    allowed = Allowed.of(["Mirror.corp.example.", "*.lab.example"])
    assert allowed.permits("mirror.corp.example", ip_address("10.0.0.1"))
    assert allowed.permits("a.b.lab.example", ip_address("127.0.0.1"))
    for host in ("lab.example", "evillab.example", "x.mirror.corp.example", "other"):
        assert not allowed.permits(host, ip_address("10.0.0.1"))
    for address in ("169.254.169.254", "fd00:ec2::254", "0.1.2.3", "::", "fe80::1"):
        assert not allowed.permits("mirror.corp.example", ip_address(address))


@pytest.mark.parametrize("entry", ["", "*", "10.0.0.1/8", "a b", "a://b", "*.*.a"])
def test_a_wrong_entry_of_the_list_is_named(entry):
    with pytest.raises(ValueError, match="'"):
        Allowed.of([entry])


def test_a_host_has_one_spelling():
    assert normal_host("EXAMPLE.com.") == "example.com"
    assert normal_host("8.8.8.8") == "8.8.8.8"
    assert normal_host("0:0::1") == "::1"
