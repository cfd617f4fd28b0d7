"""What CONTRACT promises of the compose file, read from the files: no engine needed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from sentrascan_project.variables import VARIABLES

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_FILE = "docker-compose.yml"
COMPOSE_TEXT = (ROOT / COMPOSE_FILE).read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
APPLICATION = ("api", "worker", "beat")
STORES = ("db", "redis", "proxy")
# What the stock images declare as VOLUME: anonymous unless something lies over it.
DECLARED = {"db": "/var/lib/postgresql/data", "redis": "/data"}


def each(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", names)


def needs(name: str) -> set[str]:
    """Return all services that `name` depends on, over any number of steps."""
    direct = set(SERVICES[name].get("depends_on", {}))
    return direct.union(*(needs(one) for one in direct)) if direct else direct


def default_of(value: str) -> str:
    """Return what `${NAME:-default}` is when nothing is set."""
    found = re.fullmatch(r"\$\{[A-Z_]+:-(.*)\}", value)
    return found[1] if found else value


def test_it_names_the_project_and_the_six_services() -> None:
    assert COMPOSE["name"] == "sentrascan"
    assert set(SERVICES) == {*APPLICATION, *STORES}
    assert "container_name" not in COMPOSE_TEXT


def test_it_builds_one_image_by_api_and_never_pulls_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    images = {SERVICES[name]["image"] for name in APPLICATION}
    assert images == {f"localhost/sentrascan:{project['version']}"}
    assert {SERVICES[name]["pull_policy"] for name in APPLICATION} == {"never"}
    assert [name for name in SERVICES if "build" in SERVICES[name]] == ["api"]


def test_up_of_api_takes_worker_and_beat_along_in_one_configuration() -> None:
    assert {"worker", "beat", "db", "redis"} <= needs("api")
    api = SERVICES["api"]["environment"]
    assert all(SERVICES[name]["environment"] == api for name in APPLICATION)


def test_it_stops_and_restarts_api_alone() -> None:
    rows = [
        row
        for name in SERVICES
        for row in SERVICES[name].get("depends_on", {}).values()
    ]
    assert not [row for row in rows if row.get("restart")]


def test_it_waits_for_what_must_be_well() -> None:
    for name in APPLICATION:
        for store in ("db", "redis"):
            condition = SERVICES[name]["depends_on"][store]["condition"]
            assert condition == "service_healthy"
    assert SERVICES["proxy"]["depends_on"]["api"]["condition"] == "service_healthy"
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "HEALTHCHECK" in dockerfile
    assert all("healthcheck" in SERVICES[name] for name in SERVICES if name != "api")


@each(*STORES)
def test_it_pins_a_stock_image_to_its_major_version(name: str) -> None:
    assert re.fullmatch(r"[a-z]+:[0-9]+(\.[0-9]+)?", SERVICES[name]["image"])
    assert "pull_policy" not in SERVICES[name]


@each(*APPLICATION, *STORES)
def test_it_rotates_every_log(name: str) -> None:
    assert SERVICES[name]["logging"] == {
        "driver": "json-file",
        "options": {"max-size": "10m", "max-file": "3"},
    }


@each(*APPLICATION, *STORES)
def test_it_takes_every_right_that_is_not_needed(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["read_only"] is True
    assert "privileged" not in service
    assert "network_mode" not in service
    assert not [one for one in service["security_opt"] if "unconfined" in one]


def test_only_db_starts_as_root() -> None:
    assert {name for name in SERVICES if "user" not in SERVICES[name]} == {"db"}
    assert {SERVICES[name]["user"] for name in APPLICATION} == {"10001:10001"}
    assert [name for name in SERVICES if "cap_add" in SERVICES[name]] == ["db"]


def test_every_volume_has_a_name() -> None:
    for name, service in SERVICES.items():
        mounts = [mount.split(":") for mount in service.get("volumes", [])]
        assert {mount[0] for mount in mounts} <= set(COMPOSE["volumes"])
        if name in DECLARED:
            assert DECLARED[name] in {mount[1] for mount in mounts}
    assert "VOLUME" not in (ROOT / "Dockerfile").read_text()


def test_only_proxy_is_published_and_only_worker_gets_out() -> None:
    assert [name for name in SERVICES if "ports" in SERVICES[name]] == ["proxy"]
    assert SERVICES["proxy"]["ports"] == ["${SENTRASCAN_PUBLISH:-8200}:8200"]
    networks = {name: set(SERVICES[name]["networks"]) for name in SERVICES}
    inside = {name for name, one in COMPOSE["networks"].items() if one}
    assert inside == {"front", "back"}
    assert all(COMPOSE["networks"][name]["internal"] for name in inside)
    outside = {name for name in SERVICES if networks[name] - inside}
    assert outside == {"proxy", "worker"}
    assert networks["db"] == networks["redis"] == {"back"}
    assert not networks["proxy"] & networks["db"]


def test_the_document_shows_the_worker_without_its_way_out() -> None:
    """`make test-container` runs it; here is what it says."""
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    shown = re.findall(r"(?s)```yaml\n(# docker-compose\.override.*?)```", text)
    [fragment] = (yaml.safe_load(one.replace("!override ", "")) for one in shown)
    # Without `!override`, compose would add the two lists.
    assert "networks: !override [back]" in shown[0]
    assert fragment["services"].keys() == {"worker"}
    worker = fragment["services"]["worker"]
    assert worker["networks"] == ["back"]
    assert COMPOSE["networks"]["back"] == {"internal": True}
    assert worker["environment"] == {"SENTRASCAN_REMOTE_TARGETS": "0"}
    assert set(SERVICES["worker"]["networks"]) == {"back", "egress"}


def test_the_container_tests_have_the_rights_of_a_worker_and_no_more() -> None:
    text = (ROOT / "tests" / "container" / "compose.yml").read_text(encoding="utf-8")
    services = yaml.safe_load(text)["services"]
    tests = services.pop("worker-tests")
    assert tests["extends"] == {"file": "docker-compose.yml", "service": "worker"}
    own = {"extends", "image", "build", "entrypoint", "command", "environment"}
    assert set(tests) == own
    assert {key for service in services.values() for key in service} == {"image"}


def test_the_secret_is_one_visible_line() -> None:
    lines = [line for line in COMPOSE_TEXT.splitlines() if "SENTRASCAN_SECRET:" in line]
    assert len(lines) == 1
    assert default_of(SERVICES["api"]["environment"]["SENTRASCAN_SECRET"]) == ""


def test_it_needs_no_variable_of_the_shell() -> None:
    used = re.findall(r"\$\{([A-Z_]+)(.*?)\}", COMPOSE_TEXT)
    assert used
    assert not [name for name, rest in used if not rest.startswith(":-")]


def test_it_passes_on_only_what_the_settings_read() -> None:
    files = {f"sentrascan_project/{name}.py" for name in ("settings", "signing_in")}
    read = {name for name, one in VARIABLES.items() if one.read_by in files}
    names = {
        name for name in SERVICES["api"]["environment"] if name.startswith("SENTRA")
    }
    assert names
    assert names <= read


def test_each_variable_of_the_shell_is_in_the_table() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)", COMPOSE_TEXT))
    own = {name for name, one in VARIABLES.items() if one.read_by == COMPOSE_FILE}
    assert used <= set(VARIABLES)
    assert own <= used
    for name in own:
        assert f"${{{name}:-{VARIABLES[name].default}}}" in COMPOSE_TEXT


def test_it_passes_on_whatever_an_operator_may_set() -> None:
    # Paths and addresses inside the image, and what only other commands read.
    of_the_image = {"DATA_DIR", "SCANNERS_DIR", "STATIC_DIR", "COLLECTED_STATIC"}
    of_others = {"WHEELS", "HOST", "PORT", "DEBUG", "SAMPLES", "SERVER", "API_KEY"}
    known = {
        name.removeprefix("SENTRASCAN_")
        for name, one in VARIABLES.items()
        if one.read_by != COMPOSE_FILE and name.startswith("SENTRASCAN_")
    }
    passed = {
        name.removeprefix("SENTRASCAN_") for name in SERVICES["api"]["environment"]
    }
    assert known - of_the_image - of_others <= passed


def test_api_believes_the_network_that_proxy_speaks_from() -> None:
    [configured] = COMPOSE["networks"]["front"]["ipam"]["config"]
    believed = SERVICES["api"]["environment"]["SENTRASCAN_TRUSTED_PROXIES"]
    assert believed == configured["subnet"]


def test_proxy_and_application_agree_on_the_largest_upload() -> None:
    name = "SENTRASCAN_MAX_UPLOAD_BYTES"
    limits = {SERVICES[one]["environment"][name] for one in ("api", "proxy")}
    [limit] = limits
    assert default_of(limit) == VARIABLES[name].default


def test_db_knows_its_entry_files() -> None:
    targets = {one["target"]: one["source"] for one in SERVICES["db"]["configs"]}
    assert SERVICES["db"]["environment"]["PSQLRC"] in targets
    for source in targets.values():
        assert (ROOT / COMPOSE["configs"][source]["file"]).is_file()
    psqlrc = (ROOT / "deploy" / "db" / "psqlrc").read_text()
    assert r"\set ON_ERROR_STOP on" in psqlrc.splitlines()
    grants = (ROOT / "deploy" / "db" / "init.sh").read_text()
    assert "GRANT pg_monitor, pg_signal_backend TO sentrascan;" in grants
    assert "SUPERUSER" not in grants


def test_the_image_runs_as_nobody_and_fetches_no_front_end() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert not re.search(r"(?m)^#\s*syntax=", dockerfile)
    final = dockerfile.rpartition("FROM ")[2]
    assert final.startswith("python:3.13-slim-bookworm")
    assert re.search(r"(?m)^USER 10001:10001$", final)
    # The registry that a build used must not be told by the image.
    assert not re.search(r"(?m)^(ENV|ARG).*PIP_", final)


def test_the_image_leaves_data_and_secrets_of_the_checkout_out() -> None:
    first, *kept = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert first == "*"
    assert not {"!var", "!.git", "!.env", "!.venv"} & set(kept)


# --- the proxy


def configuration(directory: Path, **environment: str) -> str:
    """Return what the entrypoint makes of the template; nginx itself is left out."""
    program = directory / "nginx"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    subprocess.run(
        ["sh", ROOT / "deploy" / "proxy" / "entrypoint.sh"],
        check=True,
        capture_output=True,
        text=True,
        env={
            "PATH": f"{directory}:{os.environ['PATH']}",
            "TMPDIR": str(directory),
            "SENTRASCAN_PROXY_TEMPLATE": str(
                ROOT / "deploy" / "proxy" / "nginx.conf.template"
            ),
            **environment,
        },
    )
    return (directory / "nginx.conf").read_text()


def directives(text: str, name: str) -> list[str]:
    """Return the values that `name` has anywhere in an nginx configuration."""
    bare = re.sub(r"(?m)^\s*#.*$", "", text)
    return re.findall(rf"(?m)^\s*{name}\s+(.+?);\s*$", bare)


def test_the_proxy_streams_and_takes_turns(tmp_path: Path) -> None:
    text = configuration(tmp_path)
    assert directives(text, "proxy_request_buffering") == ["off"]
    assert directives(text, "proxy_buffering") == ["off"]
    assert directives(text, "resolver") == ["127.0.0.11 valid=2s ipv6=off"]
    assert set(directives(text, "proxy_pass")) == {"$api"}


def test_the_proxy_takes_what_the_application_takes(tmp_path: Path) -> None:
    text = configuration(tmp_path, SENTRASCAN_MAX_UPLOAD_BYTES="1000")
    assert directives(text, "client_max_body_size") == [str(1000 + (1 << 20))]


def test_the_proxy_says_who_the_client_is_and_believes_no_claim(tmp_path: Path) -> None:
    headers = directives(configuration(tmp_path), "proxy_set_header")
    assert "X-Forwarded-For $remote_addr" in headers
    assert "X-Forwarded-Proto $client_scheme" in headers
    assert {'X-Forwarded-Host ""', 'Forwarded ""'} <= set(headers)
    # X-Request-ID and traceparent go through as they came.
    assert not [one for one in headers if "request" in one.lower()]


def test_the_proxy_believes_the_proxies_that_it_is_told(tmp_path: Path) -> None:
    told = {"SENTRASCAN_TRUSTED_PROXIES": "192.0.2.7, 2001:db8::/32"}
    text = configuration(tmp_path, **told)
    assert "set_real_ip_from 192.0.2.7; set_real_ip_from 2001:db8::/32;" in text
    assert "192.0.2.7 1; 2001:db8::/32 1;" in text
    assert "set_real_ip_from" not in configuration(tmp_path)


def test_the_proxy_refuses_a_configuration_written_into_a_variable(
    tmp_path: Path,
) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        configuration(tmp_path, SENTRASCAN_TRUSTED_PROXIES="1.2.3.4;return")
    assert "is no address or network" in refused.value.stderr


def test_the_proxy_doubles_no_security_header(tmp_path: Path) -> None:
    added = {
        one.split()[0] for one in directives(configuration(tmp_path), "add_header")
    }
    assert added == {"Retry-After", "Cache-Control", "X-Request-ID"}


def test_the_proxy_answers_for_an_absent_application(tmp_path: Path) -> None:
    text = configuration(tmp_path)
    assert """return 503 '{"status": "unavailable"}';""" in text
    away = text.partition("location @away")[2].partition("}\n")[0]
    assert "application/problem+json" in away
    assert "Retry-After" in away
    metrics = text.partition("location ~ ^/metrics(/|$)")[2].partition("}")[0]
    assert "return 404;" in metrics
    assert "proxy_pass" not in metrics


@pytest.mark.skipif(not shutil.which("nginx"), reason="no nginx on this machine")
def test_nginx_itself_takes_the_configuration(tmp_path: Path) -> None:
    real = str(shutil.which("nginx"))
    configuration(tmp_path)
    path = tmp_path / "nginx.conf"
    path.write_text(path.read_text().replace("/tmp/", f"{tmp_path}/"))
    tried = subprocess.run(
        [real, "-t", "-c", path], capture_output=True, text=True, check=False
    )
    assert tried.returncode == 0, tried.stderr


# --- the tools' commands in the image


@pytest.mark.parametrize(
    ("command", "home", "version"),
    [
        ("modelaudit", "modelaudit", "0.2.54"),
        ("mcp-checkpoint", "mcp-checkpoint", "2.1.1"),
        ("mcp-scanner", "cisco-scanner", "4.8.7"),
    ],
)
def test_each_tool_says_its_version_in_one_line(
    tmp_path: Path, command: str, home: str, version: str
) -> None:
    from django.conf import settings

    if not (settings.SCANNERS_DIR / home / "installed.json").exists():
        pytest.skip(f"{home} is not installed here")
    link = tmp_path / command
    link.symlink_to(ROOT / "deploy" / "tool.sh")
    said = subprocess.run(
        [link, "--version"],
        check=True,
        capture_output=True,
        text=True,
        env={
            "PATH": os.environ["PATH"],
            "SENTRASCAN_SCANNERS_DIR": str(settings.SCANNERS_DIR),
        },
    )
    assert said.stdout == f"{command} {version}\n"
    assert said.stderr == ""


def test_a_tool_that_is_not_installed_is_one_clear_line(tmp_path: Path) -> None:
    link = tmp_path / "modelaudit"
    link.symlink_to(ROOT / "deploy" / "tool.sh")
    environment = {"PATH": os.environ["PATH"], "SENTRASCAN_SCANNERS_DIR": str(tmp_path)}
    said = subprocess.run(
        [link, "--version"],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert said.returncode == 2
    assert said.stderr.count("\n") == 1
    assert "make setup" in said.stderr
