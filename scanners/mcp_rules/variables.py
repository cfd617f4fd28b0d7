"""Variables that change what a server runs or whom it trusts. Pure."""

from __future__ import annotations

import re

_AGENT = r"-(?:javaagent|agentlib|agentpath)"
_ON, _OFF = r"(?i)1|true|yes|on", r"(?i)0|false|no|off"

# What loads code, and in which values.
_LOADERS = {
    "LD_PRELOAD": "", "LD_AUDIT": "", "LD_LIBRARY_PATH": r"(?:^|:)(?:/tmp|/dev/shm|\.)",
    "DYLD_INSERT_LIBRARIES": "", "DYLD_FRAMEWORK_PATH": "", "BASH_ENV": "", "ENV": r"/",
    "DYLD_LIBRARY_PATH": r"(?:^|:)(?:/tmp|/private/tmp|\.)", "PYTHONSTARTUP": "",
    "PYTHONINSPECT": "", "PERL5OPT": "", "PERL5DB": "", "RUBYOPT": "-r",
    "PROMPT_COMMAND": "", "GIT_SSH_COMMAND": "", "GIT_SSH": "", "GIT_EXTERNAL_DIFF": "",
    "GIT_ASKPASS": "", "SSH_ASKPASS": "", "GIT_PROXY_COMMAND": "",
    "NODE_OPTIONS": r"(?:--(?:require|import|loader|experimental-loader|inspect)|-r\b)",
    "JAVA_TOOL_OPTIONS": _AGENT, "_JAVA_OPTIONS": _AGENT, "JDK_JAVA_OPTIONS": _AGENT,
    "DOTNET_STARTUP_HOOKS": "", "COR_PROFILER_PATH": "", "CORECLR_PROFILER_PATH": "",
    "PYTHONBREAKPOINT": "", "PYTHONWARNINGS": r"::\w+\.", "PYTHONUSERBASE": r"^/tmp",
    "NODE_REPL_EXTERNAL_MODULE": "", "NPM_CONFIG_SCRIPT_SHELL": "",
    "NPM_CONFIG_NODE_OPTIONS": r"--(?:require|import|loader)", "GCONV_PATH": "",
    "OPENSSL_CONF": r"^(?:/tmp|/dev/shm|\.)", "PHP_INI_SCAN_DIR": r"^/tmp",
}  # fmt: skip
_UNVERIFIED = {
    "NODE_TLS_REJECT_UNAUTHORIZED": r"0", "PYTHONHTTPSVERIFY": r"0",
    "GIT_SSL_NO_VERIFY": _ON, "CURL_INSECURE": _ON, "NPM_CONFIG_STRICT_SSL": _OFF,
    "DANGEROUSLY_OMIT_AUTH": _ON, "SSL_VERIFY": _OFF, "VERIFY_SSL": _OFF,
    "TLS_VERIFY": _OFF, "VERIFY_TLS": _OFF, "SSL_NO_VERIFY": _ON,
    "TLS_SKIP_VERIFY": _ON, "INSECURE_SKIP_VERIFY": _ON, "SKIP_TLS_VERIFY": _ON,
    "SKIP_SSL_VERIFY": _ON, "ALLOW_INSECURE": _ON, "TLS_REJECT_UNAUTHORIZED": _OFF,
    "PGSSLMODE": r"(?i)disable|allow", "UV_INSECURE_HOST": r".+",
    "PIP_TRUSTED_HOST": r".+", "DISABLE_AUTH": _ON, "AUTH_DISABLED": _ON,
}  # fmt: skip
_LOOKUPS = frozenset(
    {"PYTHONPATH", "NODE_PATH", "PATH", "PERL5LIB", "RUBYLIB", "PYTHONHOME"}
    | {"GEM_PATH", "CLASSPATH", "LUA_PATH", "LUA_CPATH", "GOFLAGS"}
)
_REGISTRIES = frozenset(
    {"NPM_CONFIG_REGISTRY", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL"}
    | {"UV_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX", "PIP_FIND_LINKS"}
    | {"UV_FIND_LINKS", "YARN_NPM_REGISTRY_SERVER", "GOPROXY"}
)
# Switches that mean the same as one of these variables.
UNCHECKED = frozenset(
    {"--insecure", "-k", "--no-verify-ssl", "--no-check-certificate", "--no-verify-tls"}
    | {"--disable-ssl-verification", "--tls-skip-verify", "--insecure-skip-tls-verify"}
    | {"--skip-tls-verify", "--skip-ssl-verify", "--ssl-no-verify", "--no-ssl-verify"}
    | {"--no-auth", "--disable-auth", "--allow-insecure", "--allow-unauthenticated"}
)
UNASKED = frozenset(
    {"--dangerously-skip-permissions", "--yolo", "--auto-approve-all", "--allow-all"}
    | {"--dangerously-bypass-approvals-and-sandbox", "--allow-all-tools"}
)


def loads_code(name: str, value: str) -> bool:
    """Whether this variable has the server run somebody's code."""
    pattern = _LOADERS.get(name.upper())
    return pattern is not None and bool(value) and bool(re.search(pattern, value))


def is_unverified(name: str, value: str) -> bool:
    """Whether this variable switches a check of the other end off."""
    pattern = _UNVERIFIED.get(name.upper())
    return pattern is not None and bool(re.fullmatch(pattern, value.strip()))


def moves_lookup(name: str, value: str) -> bool:
    """Whether this variable changes where code is found."""
    return name.upper() in _LOOKUPS and bool(value)


def moves_registry(name: str, value: str) -> bool:
    """Whether this variable has packages fetched from another address."""
    return name.upper() in _REGISTRIES and "://" in value
