"""`baseline` and `target` against a server: the same words as on the spot."""

from __future__ import annotations

import json
import uuid
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from pytest_django.live_server_helper import LiveServer

from apikeys.models import ApiKey, AuditEvent
from scans.models import Baseline, Target
from tests.scans.api_samples import make_finding, make_scan, remember
from tests.scans.test_command_baseline import scan_of, tool
from tests.servers import free_port

pytestmark = pytest.mark.django_db(transaction=True)
LATER = "2026-02-01T00:00:00Z"


@pytest.fixture
def there(live_server: LiveServer) -> tuple[str, str]:
    """The options that name a server and a key which may do anything there."""
    _, key = ApiKey.objects.issue(name="ops", role="admin")
    return f"--server={live_server.url}", f"--api-key={key}"


def said(*arguments: object) -> str:
    out = StringIO()
    call_command(*map(str, arguments), stdout=out, stderr=StringIO())
    return out.getvalue()


def seen_target(name: str = "weather", scan_type: str = "model") -> Target:
    target = Target.objects.create(scan_type=scan_type, name=name)
    scan = make_scan(
        target=name, target_record=target, scan_type=scan_type, verdict="fail"
    )
    make_finding(scan)
    at = {"last_scan_at": scan.created_at, "last_scan_id": scan.pk}
    Target.objects.filter(pk=target.pk).update(**at)
    return target


def test_a_baseline_goes_through_its_life_on_a_server(there: tuple[str, str]) -> None:
    scan = make_scan(target="it")
    first = said("baseline", "create", scan.pk, "--name=release 1", *there).strip()
    assert str(Baseline.objects.get().pk) == first
    answer = said("baseline", "approve", first, *there)
    assert answer == "release 1 is in force for it.\n"
    second = said("baseline", "create", scan.pk, "--name=release 2", *there).strip()
    said("baseline", "approve", second, *there)
    assert "no approved state now" in said("baseline", "retire", second, *there)
    events = AuditEvent.objects.filter(object_type="baseline")
    # The server wrote down whose key it was.
    assert set(events.values_list("actor", flat=True)) == {"ops"}
    assert events.count() == 6


def test_baselines_are_shown_as_they_are_here(there: tuple[str, str]) -> None:
    one = said("baseline", "create", scan_of(tool()).pk, "--name=release").strip()
    changed = scan_of(tool(text="Else."), tool("sub"))
    other = said("baseline", "create", changed.pk, "--name=a\x1b[2Jb").strip()
    said("baseline", "approve", one)
    for words in (
        ("list",),
        ("list", "--json"),
        ("list", "--status=active", "--type=mcp", "--target=it"),
        ("list", "--target=other"),
        ("show", one),
        ("show", one, "--json"),
        ("show", other),
        ("compare", one, other),
        ("compare", one, other, "--json"),
    ):
        assert said("baseline", *words, *there) == said("baseline", *words), words


def test_targets_are_shown_as_they_are_here(there: tuple[str, str]) -> None:
    target = seen_target()
    remember(target, 1, title="Came back", times_reopened=1, reopened_at=LATER)
    remember(target, 2, title="Mended", resolved_at=LATER)
    seen_target("both")
    seen_target("both", "mcp")
    for words in (
        ("list",),
        ("list", "--json"),
        ("list", "--type=mcp"),
        ("list", "--q=WEATH"),
        ("list", "--q=nothing"),
        ("show", "weather"),
        ("show", target.pk),
        ("show", "weather", "--resolved", "--last=1"),
        ("show", "weather", "--resolved", "--json"),
        ("show", "both", "--type=mcp"),
    ):
        assert said("target", *words, *there) == said("target", *words), words
    assert "Mended" in said("target", "show", "weather", "--resolved", *there)


def test_a_list_of_several_pages_is_whole(
    there: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scans.management.remote.PAGE", 2)
    names = {f"target {n}" for n in range(5)}
    for name in names:
        seen_target(name)
    rows = json.loads(said("target", "list", "--json", *there))
    assert {row["name"] for row in rows} == names
    monkeypatch.setattr("scans.management.commands.target.MOST_TARGETS", 3)
    *_, last = said("target", "list", *there).splitlines()
    assert last.startswith("... and more")


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("baseline", "show", uuid.uuid4()), 2, "There is no such baseline."),
        (("baseline", "approve", uuid.uuid4()), 2, "There is no such baseline."),
        (("baseline", "create", uuid.uuid4(), "--name=n"), 2, "There is no such scan."),
        (("baseline", "create", uuid.uuid4(), "--name= "), 3, "1 to 200 characters"),
        (("baseline", "show", "x"), 3, "'x' is not the id of one"),
        (("target", "show", "none"), 2, "There is no such target"),
        (("target", "show", uuid.uuid4()), 2, "There is no such target"),
        (("target", "list", "--q=ab"), 3, "q: "),
    ],
)
def test_what_a_server_refuses_has_the_exit_code_that_it_has_here(
    there: tuple[str, str], words: tuple[object, ...], code: int, why: str
) -> None:
    with pytest.raises(CommandError, match=why) as refused:
        said(*words, *there)
    assert refused.value.returncode == code


def test_states_that_do_not_fit_are_refused_by_a_server(there: tuple[str, str]) -> None:
    one = said("baseline", "create", make_scan().pk, "--name=n", *there).strip()
    said("baseline", "approve", one, *there)
    with pytest.raises(CommandError, match="already active") as refused:
        said("baseline", "approve", one, *there)
    assert refused.value.returncode == 2


def test_a_key_of_too_small_a_role_changes_nothing(there: tuple[str, str]) -> None:
    one = said("baseline", "create", make_scan().pk, "--name=n", *there).strip()
    _, viewer = ApiKey.objects.issue(name="eyes", role="viewer")
    reader = (there[0], f"--api-key={viewer}")
    assert one in said("baseline", "list", *reader)
    with pytest.raises(CommandError) as refused:
        said("baseline", "approve", one, *reader)
    assert refused.value.returncode == 2
    assert viewer not in str(refused.value)
    assert Baseline.objects.get().status == "proposed"


@pytest.mark.parametrize("words", [("baseline", "list"), ("target", "list")])
def test_a_server_that_is_not_there_or_not_named_well(
    words: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # No command waits half a minute for a server in a test.
    monkeypatch.setattr("scans.management.remote.PATIENCE_SECONDS", 0.0)
    away = f"--server=http://127.0.0.1:{free_port()}"
    for options, code, why in (
        ((away, "--api-key=ssk_x"), 4, "does not answer"),
        ((away,), 3, "needs an API key"),
        (("--api-key=ssk_x",), 3, "is for a --server"),
        (("--server=example.org", "--api-key=ssk_x"), 3, "begins with http"),
    ):
        with pytest.raises(CommandError, match=why) as refused:
            said(*words, *options)
        assert refused.value.returncode == code
    # As for `scan`: the environment names it too.
    monkeypatch.setenv("SENTRASCAN_SERVER", away.removeprefix("--server="))
    monkeypatch.setenv("SENTRASCAN_API_KEY", "ssk_x")
    with pytest.raises(CommandError, match="does not answer"):
        said(*words)
