"""How a configuration starts its servers (`MCP-CONFIG-007` and on)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from scanners.mcp_rules.matches import Match, Span, Unread, shown
from scanners.mcp_rules.packages import Package, package_of, resembled
from scanners.mcp_rules.servers import Server, escape, located_servers
from scanners.mcp_rules.variables import (
    UNASKED,
    UNCHECKED,
    is_unverified,
    loads_code,
    moves_lookup,
    moves_registry,
)
from scanners.mcp_rules.wrappers import (
    MAX_LINE,
    SHELL_SWITCH,
    SHELLS,
    Inner,
    inners_of,
    program_of,
)

UNPINNED, IMITATION, DOWNLOAD = "MCP-CONFIG-007", "MCP-CONFIG-008", "MCP-CONFIG-009"
SHELL, ROOT, PRIVILEGED = "MCP-CONFIG-010", "MCP-CONFIG-011", "MCP-CONFIG-012"
MOUNT, PLAIN, INSIDE = "MCP-CONFIG-013", "MCP-CONFIG-014", "MCP-CONFIG-015"
OPEN, WILDCARD, INJECTED = "MCP-CONFIG-016", "MCP-CONFIG-017", "MCP-CONFIG-018"
UNVERIFIED, LOOKUP, INLINE = "MCP-CONFIG-019", "MCP-CONFIG-020", "MCP-CONFIG-021"
TEMPORARY, APPROVED, ELSEWHERE = "MCP-CONFIG-022", "MCP-CONFIG-023", "MCP-CONFIG-024"

_PROGRAMS = re.compile(r"(?:python[\d.]*|node|nodejs|deno|bun|perl|ruby|php|osascript)")
_INLINE = frozenset({"-c", "-e", "--eval", "-p", "eval", "-r", "--print"})
# What fetches and runs, opens a shell to the outside, or sends files away.
_ATTACK = re.compile(
    r"""(?ix)
    \b(?:curl|wget|iwr|invoke-webrequest|fetch)\b[^\n]{0,400}?
      (?:\|\s{0,4}(?:sudo\s+)?(?:ba|z|da|k)?sh\b|\|\s{0,4}(?:python\d?|node|perl|iex)\b
      |(?:&&|;)\s{0,4}(?:sudo\s+)?(?:chmod|sh|bash|\./|/tmp/|python|node|source)\b)
    | (?:sh|bash|python\d?|node)\s+(?:-c\s+)?["']?(?:<\(|\$\(|`)\s{0,4}(?:curl|wget)
    | \biex\b | invoke-expression | downloadstring | downloadfile | start-bitstransfer
    | \b(?:powershell|pwsh)\b[^\n]{0,300}\s-(?:e|ec|enc|encodedcommand)\s+
      [A-Za-z0-9+/=]{8,}
    | frombase64string
    | \bnc(?:at)?\b[^\n]{0,100}\s-[a-z]{0,3}[ec]\b | /dev/tcp/ | \bmkfifo\b
    | \bsocat\b[^\n]{0,200}\bexec\b | \bbase64\s+(?:-d|-D|--decode)\b[^\n]{0,200}\|
    | (?:cat|tar|zip|tee|env|printenv|set)\b[^\n|]{0,300}
      \|\s{0,4}(?:curl|wget|nc|ncat)\b
    | \bcurl\b[^\n]{0,300}\s(?:-d|--data\S{0,8}|-F|--form|-T|--upload-file)\s{0,3}
      ["']?(?:\S{0,40}=)?@
    | (?:eval|exec)\s{0,2}\(\s{0,2}(?:buffer\.from|atob|base64|__import__|requests
      |urllib|compile|await\s+\(?await\s+fetch|bytes\.fromhex|codecs)
    | (?:os\.system|subprocess\.\w{1,20}|child_process|execsync|os\.popen)\b[^\n]{0,200}
      (?:curl|wget|https?://|\bnc\b|/bin/(?:ba)?sh|powershell)
    # In one order or the other: what is fetched is run.
    | (?:(?<![\w.])(?:eval|exec|compile)|\bnew\s+function)\s{0,2}\([^\n]{0,200}?
      (?:urlopen|urllib|requests\.get|httpx\.|https?\.get|\bfetch\s{0,2}\()
    | (?:urlopen|requests\.get|httpx\.get|\bfetch\s{0,2}\(|https?['"]?\)?\.get\s{0,2}\()
      [^\n]{0,400}?(?:(?<![\w.])(?:eval|exec)\s{0,2}\(|\bnew\s+function\s{0,2}\(|\bvm\.run)
    | socket\.socket[^\n]{0,300}(?:dup2|subprocess|pty\.spawn) | pty\.spawn
    | \brm\s+-[a-z]{0,4}r[a-z]{0,4}\s+(?:~|/|\$HOME)(?:\s|$|\*) | :\(\)\s{0,2}\{
    | \bmshta\b | \bcertutil\b[^\n]{0,100}-urlcache | \bregsvr32\b | \bbitsadmin\b
    | >>?\s{0,3}(?:~|\$HOME|/root|/home/\w{1,40})/\.(?:bashrc|zshrc|profile|ssh/)
    | \bcrontab\b | \blaunchctl\s+load
    """
)
_PRIVILEGES = re.compile(
    r"(?i)--privileged(?:=true)?(?![=\w])|--cap-add[= ](?:cap_)?(?:all|sys_admin"
    r"|sys_ptrace|sys_module|sys_rawio|sys_boot|sys_time|net_admin|net_raw|bpf|perfmon"
    r"|mknod|mac_admin|dac_override|dac_read_search|checkpoint_restore)"
    r"|--(?:pid|net|network|ipc|uts|userns|cgroupns)[= ]host"
    r"|--security-opt[= ](?:(?:seccomp|apparmor|systempaths)[=:]unconfined"
    r"|label[=:]disable|no-new-privileges[=:]false)|--volumes-from[= ]\S"
    r"|--device[= ]/dev/(?:mem|kmem|kmsg|port|sd\w|nvme\w|vd\w|xvd\w|disk|dm-|mapper)"
    r"|--group-add[= ](?:docker|root|0)\b"
)
_HOST_PART = re.compile(
    r"(?i)(?:/|~/?|\$\{?HOME\}?/?|\$\{?USERPROFILE\}?|[a-z]:[\\/]?|/(?:etc|root|home|var"
    r"|mnt|media|lib64|mnt/c|run/user|usr|proc|sys|dev|boot|Users|var/lib/docker|run|opt|bin|lib)/?"
    r"|(?:/home/[^/]{1,60}|/Users/[^/]{1,60})/?"
    r"|.{0,200}(?:docker\.sock|containerd\.sock|podman\.sock|crio\.sock|/\.ssh|/\.aws|/\.kube|/\.gnupg"
    r"|/\.docker|/\.config/gcloud|/\.azure|/\.netrc|/\.npmrc|/\.git-credentials|/\.password-store)(?:/.{0,100})?)"
)
_WILDCARD = re.compile(
    r"(?i)(?:^|[=\s:/@])(?:0\.0\.0\.0|\[::\]|\*:\d{2,5})(?:$|[:/\s])"
    r"|--host[= ](?:::|\*)$|^(?:\[?::\]?|:::\d{2,5})$"
)
_TEMPORARY = re.compile(
    r"(?i)(?:/tmp/|/var/tmp/|/dev/shm/|%temp%|\\temp\\|/private/tmp/)\S"
)
_INDEX = re.compile(
    r"--(?:extra-)?index-url|--index|--default-index|--registry|-i|--find-links"
)
_URL_KEYS = ("url", "serverUrl", "httpUrl", "endpoint")
_AUTH_KEYS = frozenset(
    {"headers", "http_headers", "auth", "oauth", "authorization", "requestInit"}
    | {"bearer_token_env_var", "token", "apiKey"}
)
_INTERNAL = (".internal", ".local", ".lan", ".svc", ".corp", ".home", ".intranet")


def find(document: Mapping[str, Any]) -> Iterator[Match | Unread]:
    """Yield what is dangerous in how servers are started, and what was not read."""
    for server in located_servers(document):
        start = _Start(server)
        yield from start.unread()
        yield from start.command_line()
        yield from start.container()
        yield from start.package()
        yield from start.addresses()
        yield from start.environment()
        yield from start.trust()


class _Start:
    """One server of a configuration, taken apart."""

    def __init__(self, server: Server) -> None:
        self._value = server.value
        self._pointer = f"/config{server.pointer}"
        given = server.value.get("args", server.value.get("arguments"))
        entries = given if isinstance(given, list) else []
        self._key = "args" if "args" in server.value else "arguments"
        command = server.value.get("command")
        words = [
            str(entry) for entry in entries if isinstance(entry, str | int | float)
        ]
        if isinstance(command, list):
            words = [str(entry) for entry in command[1:]] + words
            command = command[0] if command else ""
        self._arguments = words
        self._command = command if isinstance(command, str) else ""
        if " " in self._command.strip() and not words:
            # The whole line stands in `command`.
            self._command, *self._arguments = self._command.split()
            self._key = "command"
        line = " ".join([self._command, *self._arguments])
        self._line, self._length = line[:MAX_LINE], len(line)
        self._program = program_of(self._command)
        self._inners = inners_of(self._command, self._arguments)

    def _match(self, rule: str, place: str, sign: str, text: str) -> Match:
        span = Span(0, len(text), sign, shown(text))
        field = place.replace("/", " ").strip() or "server"
        pointer = f"{self._pointer}/{place}" if place else self._pointer
        return Match(rule, pointer, self._pointer, field, (span,), key=sign)

    def _argument(self, position: int) -> str:
        is_whole = (
            position < 0
            or self._key == "command"
            or not isinstance(self._value.get(self._key), list)
        )
        return "command" if is_whole else f"{self._key}/{position}"

    def unread(self) -> Iterator[Unread]:
        """What of the command line is too long to be looked at."""
        if self._length > MAX_LINE:
            why = f"of a command line of {self._length:,} characters {MAX_LINE:,}"
            yield Unread(self._pointer, self._pointer, f"{why} were read")

    def command_line(self) -> Iterator[Match]:
        """Shells, programs in arguments, privileges."""
        attack = _ATTACK.search(self._line)
        if attack:
            place = "args" if isinstance(self._value.get("args"), list) else "command"
            yield self._match(DOWNLOAD, place, "dangerous command", attack[0])
        if self._program in SHELLS:
            if any(SHELL_SWITCH.fullmatch(each) for each in self._arguments):
                yield self._match(SHELL, "command", "a shell", self._command)
        elif _PROGRAMS.fullmatch(self._program) and not attack:
            for position, each in enumerate(self._arguments):
                if each in _INLINE:
                    sign = "a program in the arguments"
                    yield self._match(INLINE, self._argument(position), sign, each)
                    break
        words = [self._command, *self._arguments]
        if self._program in ("sudo", "doas", "su", "pkexec", "runas", "gsudo") or (
            self._program in SHELLS
            and re.search(r"\b(?:sudo|doas|pkexec)\s", self._line)
        ):
            yield self._match(ROOT, "command", "as the administrator", self._line)
        for position, each in enumerate(words):
            if _TEMPORARY.match(each) and position <= 1:
                place = "command" if not position else self._argument(0)
                yield self._match(TEMPORARY, place, "a temporary folder", each)

    def container(self) -> Iterator[Match]:
        """Containers that are none: privileges, and parts of the host."""
        for inner in self._inners:
            if program_of(inner.command) in ("docker", "podman", "nerdctl"):
                yield from self._contained(inner)

    def _contained(self, inner: Inner) -> Iterator[Match]:
        if found := _PRIVILEGES.search(" ".join(inner.arguments)[:MAX_LINE]):
            yield self._match(PRIVILEGED, self._key, "privileges", found[0])
        before = ""
        for position, each in zip(inner.places, inner.arguments, strict=True):
            source = _mounted(before, each)
            if source and _HOST_PART.fullmatch(source):
                sign = "a part of the host"
                yield self._match(MOUNT, self._argument(position), sign, source)
            before = each

    def package(self) -> Iterator[Match]:
        """Packages without a version, of a stranger's name, from elsewhere."""
        for position, each in enumerate(self._arguments[:-1]):
            if _INDEX.fullmatch(each) and "://" in self._arguments[position + 1]:
                address = self._arguments[position + 1]
                yield self._match(
                    ELSEWHERE, self._argument(position + 1), "another registry", address
                )
        for inner in self._inners:
            package = package_of(inner.command, inner.arguments)
            if package is not None:
                place = self._argument(inner.places[package.argument])
                yield from self._packaged(package, place)

    def _packaged(self, package: Package, place: str) -> Iterator[Match]:
        if known := resembled(package):
            sign = f"one edit away from {known}"
            yield self._match(IMITATION, place, sign, package.name)
        if package.is_elsewhere and not package.is_pinned:
            yield self._match(
                ELSEWHERE, place, "a package from an address", package.name
            )
        elif not package.is_pinned:
            yield self._match(UNPINNED, place, "no exact version", package.name)

    def addresses(self) -> Iterator[Match]:
        """Plain HTTP, no authentication, wildcards."""
        urls = [(key, self._value[key]) for key in _URL_KEYS if key in self._value]
        for position, each in enumerate(self._arguments):
            if each.startswith("http://"):
                urls.append((self._argument(position), each))
            if _WILDCARD.search(each):
                yield self._match(
                    WILDCARD, self._argument(position), "every address", each
                )
        for place, url in urls:
            if not isinstance(url, str):
                continue
            rule = _plain_http(url)
            if rule:
                yield self._match(
                    rule, place, "without encryption", url.partition("?")[0]
                )
            is_far = place in _URL_KEYS and not _is_loopback(url)
            if (
                is_far
                and not _AUTH_KEYS & set(self._value)
                and not {"@", "?"} & set(url)
            ):
                yield self._match(
                    OPEN, place, "no authentication", url.partition("?")[0]
                )

    def environment(self) -> Iterator[Match]:
        """Variables that load code or switch checks off."""
        for key in ("env", "environment"):
            variables = self._value.get(key)
            if not isinstance(variables, Mapping):
                continue
            for name, value in variables.items():
                place = f"{key}/{escape(name)}"
                if rule := _of_variable(name, str(value)):
                    yield self._match(rule, place, f"the variable {name}", str(value))
                elif _WILDCARD.search(str(value)):
                    yield self._match(WILDCARD, place, "every address", str(value))
        for position, each in enumerate(self._arguments):
            if each in UNCHECKED:
                yield self._match(
                    UNVERIFIED, self._argument(position), "checks switched off", each
                )

    def trust(self) -> Iterator[Match]:
        """Tools that are called without asking."""
        for key in (
            "autoApprove",
            "alwaysAllow",
            "trust",
            "alwaysAllowAll",
            "autoAccept",
        ):
            value = self._value.get(key)
            if (
                value is True
                or value == "*"
                or (isinstance(value, list) and "*" in value)
            ):
                yield self._match(APPROVED, key, "all tools without asking", key)
        for position, each in enumerate(self._arguments):
            if each in UNASKED:
                sign = "all tools without asking"
                yield self._match(APPROVED, self._argument(position), sign, each)


def _mounted(before: str, argument: str) -> str:
    """Return the host's side of a mount."""
    if before in ("-v", "--volume"):
        return _source(argument)
    if argument.startswith("--volume="):
        return _source(argument.partition("=")[2])
    if argument.startswith("-v") and len(argument) > 2 and argument[2] in "/~$.":
        return _source(argument[2:])
    if before == "--mount" or argument.startswith("--mount="):
        text = argument.removeprefix("--mount=")
        for part in text.split(","):
            name, _, value = part.partition("=")
            if name in ("src", "source"):
                return value
    return ""


def _source(text: str) -> str:
    if re.match(r"[A-Za-z]:[\\/]", text):
        return text[:3] if ":" in text[3:4] else text.rpartition(":")[0]
    return text.partition(":")[0]


def _of_variable(name: str, value: str) -> str | None:
    if loads_code(name, value):
        return INJECTED
    if is_unverified(name, value):
        return UNVERIFIED
    if moves_registry(name, value):
        return ELSEWHERE
    return LOOKUP if moves_lookup(name, value) else None


def _plain_http(url: str) -> str | None:
    """Return the rule that an address without TLS matches."""
    if not url.lower().startswith(("http://", "ws://")) or _is_loopback(url):
        return None
    host = _host(url)
    try:
        is_inside = ipaddress.ip_address(host).is_private and not host.startswith(
            ("192.0.2.", "198.51.100.", "203.0.113.")
        )
    except ValueError:
        is_inside = "." not in host or host.endswith(_INTERNAL)
    return INSIDE if is_inside else PLAIN


def _is_loopback(url: str) -> bool:
    host = _host(url)
    if host in ("localhost", "", "host.docker.internal") or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""
