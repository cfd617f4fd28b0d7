"""The installation key: made once, never silently again, one key for each purpose."""

from __future__ import annotations

import base64
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from apikeys.models import AuditEvent
from scans import sealing
from scans.models import InstallationKey
from scans.sealing import KeyLost, Purpose, Unreadable
from tests.project.running import sentrascan

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]


@pytest.fixture
def path(settings, tmp_path: Path) -> Path:
    settings.INSTALLATION_KEY_PATH = tmp_path / "installation-key"
    return settings.INSTALLATION_KEY_PATH


def test_it_is_made_once_for_its_owner_alone(path: Path):
    key = sealing.installation_key()
    assert len(key) == 32
    assert sealing.installation_key() == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert base64.b64decode(path.read_bytes()) == key
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    event = AuditEvent.objects.get(action="installation_key.use")
    assert event.actor == "installation"


def test_neither_row_nor_event_tells_the_key(path: Path):
    key = sealing.installation_key()
    told = "".join(
        [InstallationKey.objects.get().key_id, AuditEvent.objects.get().object_id]
    )
    assert key.hex()[:12] not in told
    for purpose in set(Purpose) - {Purpose.IDENTITY}:
        assert sealing.derived(purpose).hex()[:12] not in told


def test_another_secret_changes_nothing(path: Path, settings):
    key = sealing.installation_key()
    settings.SECRET_KEY = "another"
    assert sealing.installation_key() == key


def test_a_lost_key_is_an_error_and_no_new_one(path: Path):
    sealing.installation_key()
    path.unlink()
    for _ in range(2):
        with pytest.raises(KeyLost, match=r"is missing\. Put it back from a backup"):
            sealing.installation_key()
    with pytest.raises(KeyLost):
        sealing.state()
    assert not path.exists()


def test_another_key_is_an_error(path: Path):
    sealing.installation_key()
    path.write_bytes(base64.b64encode(bytes(32)))
    with pytest.raises(KeyLost, match="not the one that was in use before"):
        sealing.installation_key()
    with pytest.raises(KeyLost):
        sealing.state()


@pytest.mark.parametrize("content", [b"", b"no key", base64.b64encode(bytes(16))])
def test_a_file_that_holds_no_key_is_an_error_and_stays(path: Path, content: bytes):
    path.write_bytes(content)
    with pytest.raises(KeyLost, match="holds no key"):
        sealing.installation_key()
    assert path.read_bytes() == content


def test_a_key_put_back_is_believed_at_once(path: Path):
    sealed = sealing.seal(b"secret", Purpose.HEADERS, place="here")
    kept = path.read_bytes()
    path.unlink()
    with pytest.raises(KeyLost):
        sealing.unseal(sealed, Purpose.HEADERS, place="here")
    path.write_bytes(kept)
    assert sealing.unseal(sealed, Purpose.HEADERS, place="here") == b"secret"


def test_an_operator_can_begin_anew(path: Path):
    sealed = sealing.seal(b"secret", Purpose.HEADERS, place="here")
    path.unlink()
    InstallationKey.objects.all().delete()
    sealing.installation_key()
    with pytest.raises(Unreadable):
        sealing.unseal(sealed, Purpose.HEADERS, place="here")


def test_only_the_same_purpose_and_place_open_what_was_sealed(path: Path):
    sealed = sealing.seal(b"secret", Purpose.HEADERS, place="https://a.example")
    assert b"secret" not in sealed
    assert sealed != sealing.seal(b"secret", Purpose.HEADERS, place="https://a.example")
    with pytest.raises(Unreadable):
        sealing.unseal(sealed, Purpose.HEADERS, place="https://b.example")
    with pytest.raises(Unreadable):
        sealing.unseal(sealed, Purpose.DIGESTS, place="https://a.example")
    for broken in (b"", sealed[:5], sealed[:-1], b"\x02" + sealed[1:]):
        with pytest.raises(Unreadable):
            sealing.unseal(broken, Purpose.HEADERS, place="https://a.example")


def test_each_purpose_has_a_key_of_its_own(path: Path):
    keys = {sealing.derived(purpose) for purpose in Purpose}
    assert len(keys) == len(Purpose)
    assert sealing.installation_key() not in keys


def test_labels_are_never_changed(path: Path):
    """What was stored under a label could not be read under another."""
    path.write_bytes(base64.b64encode(bytes(range(32))))
    known = {purpose.name: sealing.derived(purpose).hex()[:16] for purpose in Purpose}
    assert known == {
        "HEADERS": "80eadad64c38a105",
        "DIGESTS": "bdf210043562e068",
        "ATTESTATION": "382e53b3d7be68a0",
        "IDENTITY": "dd7c3a25525a3938",
    }


def test_nothing_is_made_by_looking(path: Path):
    assert sealing.state() == "nothing needed one yet"
    assert not path.exists()
    assert not InstallationKey.objects.exists()


@pytest.mark.slow
def test_processes_that_start_together_make_one_key(
    process_environment: dict[str, str],
):
    InstallationKey.objects.all().delete()
    code = (
        "import django; django.setup()\n"
        "from scans import sealing\n"
        "print(sealing.installation_key().hex())"
    )
    path = Path(process_environment["SENTRASCAN_DATA_DIR"]) / "installation-key"
    path.unlink(missing_ok=True)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=process_environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    said = {process.communicate(timeout=60)[0] for process in started}
    assert len(said) == 1
    assert len(said.pop().strip()) == 64
    assert AuditEvent.objects.filter(action="installation_key.use").count() == 1


@pytest.mark.slow
@pytest.mark.usefixtures("tools")
def test_doctor_says_when_it_is_lost(process_environment: dict[str, str]):
    path = Path(process_environment["SENTRASCAN_DATA_DIR"]) / "installation-key"
    InstallationKey.objects.create(key_id="ab" * 32)
    path.unlink(missing_ok=True)
    said = sentrascan("doctor", env=process_environment).stdout
    assert "❌ installation key: broken: The installation key" in said
    InstallationKey.objects.all().delete()
    said = sentrascan("doctor", env=process_environment).stdout
    assert "✅ installation key: available (nothing needed one yet)" in said
