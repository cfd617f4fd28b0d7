"""`verify` and `attest`: what an attestation is worth to who has only its file."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command
from django.utils import timezone

from scanners import documents, folders
from scans.attestation import envelope, issuing, statement, verification
from scans.attestation.verification import Disproved
from scans.models import Policy, Scan, ScanSnapshot
from tests.project.running import sentrascan
from tests.scans.api_samples import TOOLS, make_run, make_scan

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]
BODY = b"a model, byte for byte"


@pytest.fixture(autouse=True)
def key_file(settings, tmp_path: Path) -> Path:
    settings.INSTALLATION_KEY_PATH = tmp_path / "installation-key"
    return settings.INSTALLATION_KEY_PATH


def scan_of(digest: str, **fields: Any) -> Scan:
    scan = make_scan(**{"digest": digest, "finished_at": timezone.now()} | fields)
    elements = [{"path": "model.pkl", "size": 3, "digest": digest}]
    ScanSnapshot.objects.filter(scan=scan).update(elements=elements)
    make_run(scan, tool_version="0.2.54")
    return scan


class Case:
    """A model with its attestation and key on disk, as somebody carried them away."""

    def __init__(self, directory: Path, **fields: Any) -> None:
        self.path = directory / "model.pkl"
        self.path.write_bytes(BODY)
        self.attestation = directory / "attestation.json"
        self.key = directory / "key.pem"
        self.attest(scan_of(hashlib.sha256(BODY).hexdigest(), **fields))

    def attest(self, scan: Scan) -> None:
        self.document = issuing.attest(scan.pk)
        self.attestation.write_text(json.dumps(self.document))
        self.key.write_text(issuing.public_key()["public_key"])

    def signed_anew(
        self, change: Callable[[dict[str, Any]], None], key: Ed25519PrivateKey
    ) -> None:
        said = json.loads(base64.b64decode(self.document["payload"]))
        change(said)
        payload = json.dumps(said).encode()
        document = envelope.signed(payload, statement.PAYLOAD_TYPE, key)
        self.attestation.write_text(json.dumps(document))
        self.key.write_text(envelope.key_document(key.public_key())["public_key"])

    def verify(self, *more: str, stderr: io.StringIO | None = None) -> str:
        out = io.StringIO()
        files = [f"--attestation={self.attestation}", f"--key={self.key}"]
        command = ("verify", str(self.path), *files, *more)
        call_command(*command, stdout=out, stderr=stderr or io.StringIO())
        return out.getvalue()

    def refused(self, *more: str) -> str:
        said = io.StringIO()
        with pytest.raises(SystemExit) as refusal:
            self.verify(*more, stderr=said)
        assert refusal.value.code == 1
        assert said.getvalue().startswith("Refused: ")
        return said.getvalue()

    def broken(self, *more: str, code: int = 2) -> str:
        with pytest.raises(CommandError) as error:
            self.verify(*more)
        assert error.value.returncode == code
        return str(error.value)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_it_holds_for_the_bytes_that_were_scanned(case: Case) -> None:
    said = case.verify()
    assert "verdict pass, policy default v1" in said
    assert "modelaudit, 0.2.54, completed" in said


def test_the_answer_of_the_api_is_a_key_too(case: Case) -> None:
    case.key.write_text(json.dumps(issuing.public_key()))
    case.verify()


def test_no_bit_of_the_model_may_be_another(case: Case) -> None:
    case.path.write_bytes(BODY[:-1] + bytes([BODY[-1] ^ 1]))
    assert "other bytes" in case.refused()


def test_no_bit_of_the_attestation_may_be_another(case: Case) -> None:
    raw = case.attestation.read_bytes()
    key = envelope.read_key(case.key.read_bytes())
    spared = []
    for place in range(len(raw)):
        flipped = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        with contextlib.suppress(Disproved, envelope.Unreadable):
            verification.read(flipped, key)
            spared.append(place)
    # The key id is a hint that nobody reads, and the last letter before the `=` of
    # base64 has bits that stand for nothing. Nothing else may be changed.
    hint = raw.index(b'"keyid"')
    hints = range(hint, hint + len('"keyid": "') + 64)
    ends = [place - 1 for place in range(len(raw)) if raw[place : place + 1] == b"="]
    assert set(spared) <= {*hints, *ends}
    case.attestation.write_bytes(raw.replace(b'"sig": "', b'"sig": "A', 1))
    case.refused()


def test_another_key_is_refused(case: Case) -> None:
    stranger = Ed25519PrivateKey.generate().public_key()
    case.key.write_text(envelope.key_document(stranger)["public_key"])
    assert "not signed with this key" in case.refused()


def test_a_signature_by_a_stranger_beside_ours_proves_nothing(case: Case) -> None:
    said = b'{"_type": "x"}'
    forged = envelope.signed(said, statement.PAYLOAD_TYPE, Ed25519PrivateKey.generate())
    forged["signatures"] += case.document["signatures"]
    case.attestation.write_text(json.dumps(forged))
    assert "not signed with this key" in case.refused()


def test_one_good_signature_among_others_is_enough(case: Case) -> None:
    stranger = Ed25519PrivateKey.generate()
    payload = base64.b64decode(case.document["payload"])
    theirs = envelope.signed(payload, statement.PAYLOAD_TYPE, stranger)
    case.document["signatures"].insert(0, theirs["signatures"][0])
    case.attestation.write_text(json.dumps(case.document))
    case.verify()


def test_an_expired_one_is_refused(tmp_path: Path) -> None:
    old = timezone.now() - timedelta(days=91)
    assert "expired" in Case(tmp_path, finished_at=old).refused()


def test_one_of_the_future_is_refused(tmp_path: Path) -> None:
    ahead = timezone.now() + timedelta(hours=1)
    assert "future" in Case(tmp_path, finished_at=ahead).refused()


def test_that_of_another_subject_is_refused(case: Case) -> None:
    case.attest(scan_of("ef" * 32))
    assert "other bytes" in case.refused()


@pytest.mark.parametrize("verdict", ["fail", "inconclusive"])
def test_a_genuine_one_that_is_no_pass_is_refused_unless_asked_for(
    tmp_path: Path, verdict: str
) -> None:
    case = Case(tmp_path, verdict=verdict)
    assert f"its verdict is {verdict} by the policy default v1" in case.refused()
    assert f"verdict {verdict}" in case.verify("--any-verdict")


def test_a_replay_for_another_policy_is_refused(tmp_path: Path) -> None:
    lax = {"severity_threshold": "critical"}
    Policy.objects.create(name="lax", version=2, document=lax)
    case = Case(tmp_path, policy_name="lax", policy_version=2)
    case.verify("--policy=lax")
    case.verify("--policy=lax@2")
    for other in ("strict", "lax@1", "default"):
        assert "the policy lax v2" in case.refused(f"--policy={other}")
    rules = tmp_path / "rules.yaml"
    rules.write_text("severity_threshold: critical\nonly_new: false\n")
    case.verify(f"--policy={rules}")
    rules.write_text("severity_threshold: low\n")
    assert "other rules" in case.refused(f"--policy={rules}")
    rules.write_text("severity_treshold: low\n")
    assert "severity_treshold" in case.broken(f"--policy={rules}", code=3)


def test_who_names_no_policy_is_told_whose_pass_was_taken(tmp_path: Path) -> None:
    Policy.objects.create(name="lax", version=2, document={"only_new": True})
    case = Case(tmp_path, policy_name="lax", policy_version=2)
    said = case.verify()
    assert "verdict pass, policy lax v2\n" in said
    assert "no --policy was named" in said
    assert "--policy lax@2 takes no other" in said
    asked = case.verify("--policy=lax@2")
    assert "verdict pass, policy lax v2\n" in asked
    assert "no --policy" not in asked


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda said: said.update(predicateType="https://slsa.dev/provenance/v1"),
        lambda said: said.update(subject=said["subject"] * 2),
        lambda said: said["predicate"].pop("expires_at"),
        lambda said: said["predicate"].update(expires_at="2099-01-01T00:00:00"),
        lambda said: said["predicate"].update(verdict="fine"),
        lambda said: said["predicate"].update(digest_of="anything"),
    ],
    ids=range(7),
)
def test_another_statement_under_the_same_key_is_refused(
    case: Case, change: Callable[[dict[str, Any]], None]
) -> None:
    key = Ed25519PrivateKey.generate()
    case.signed_anew(lambda said: None, key)
    case.verify()
    case.signed_anew(change, key)
    case.refused()


def test_a_folder_is_known_by_all_of_its_files(case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"a")
    (folder / "sub" / "b.bin").write_bytes(b"b")
    files = [(n, hashlib.sha256(n[-5:-4].encode()).hexdigest()) for n in LISTED]
    case.attest(listing_scan(folders.listing_digest(files)))
    case.path = folder
    case.verify()
    (folder / "c.bin").write_bytes(b"")
    assert "other bytes" in case.refused()
    (folder / "c.bin").unlink()
    (folder / "c.bin").symlink_to("a.bin")
    assert "c.bin: it is a link" in case.refused()


LISTED = ("sub/b.bin", "a.bin")


def listing_scan(digest: str) -> Scan:
    scan = scan_of(digest)
    elements = [{"path": name, "size": 1, "digest": "00" * 32} for name in LISTED]
    ScanSnapshot.objects.filter(scan=scan).update(elements=elements)
    return scan


def test_an_archive_is_known_by_what_is_in_it(case: Case, tmp_path: Path) -> None:
    packed = tmp_path / "model.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for name in LISTED:
            archive.writestr(name, name[-5:-4])
    files = [(n, hashlib.sha256(n[-5:-4].encode()).hexdigest()) for n in LISTED]
    case.attest(listing_scan(folders.listing_digest(files)))
    case.path = packed
    case.verify()
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("c.bin", "c")
    assert "other bytes" in case.refused()


def test_an_mcp_document_is_known_by_its_meaning(case: Case) -> None:
    canonical = documents.canonical(documents.read_document({"tools": TOOLS}))
    digest = hashlib.sha256(canonical).hexdigest()
    case.attest(scan_of(digest, scan_type="mcp"))
    case.path.write_text(json.dumps({"tools": TOOLS}, indent=3))
    case.verify()
    case.path.write_text(json.dumps({"tools": [TOOLS[0] | {"name": "sub"}]}))
    assert "other bytes" in case.refused()
    case.path.write_text("no document")
    assert "no MCP document" in case.refused()


def test_what_cannot_be_read_is_an_error_and_no_refusal(case: Case) -> None:
    case.key.write_text("nonsense")
    assert "no public key" in case.broken()
    case.key.unlink()
    assert "cannot be read" in case.broken()
    case.key.write_text(issuing.public_key()["public_key"])
    case.path.unlink()
    assert "cannot be read" in case.broken()
    case.attestation.unlink()
    assert "cannot be read" in case.broken()
    assert "no NAME" in case.broken("--policy=a b", code=3)


@pytest.mark.slow
def test_attest_and_verify_as_a_user_runs_them(
    process_environment: dict[str, str], case: Case, key_file: Path, tmp_path: Path
) -> None:
    scan = Scan.objects.get()
    place = Path(process_environment["SENTRASCAN_DATA_DIR"]) / key_file.name
    place.write_bytes(key_file.read_bytes())
    out, key = tmp_path / "out.json", tmp_path / "out.pem"
    env = process_environment
    for arguments in (
        ("attest", str(scan.pk), f"--output={out}"),
        ("attest", "--public-key", f"--output={key}"),
    ):
        result = sentrascan(*arguments, env=env)
        assert (result.returncode, result.stdout) == (0, ""), result.stderr
    offline = env | {"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"}
    files = (f"--attestation={out}", f"--key={key}")
    result = sentrascan("verify", case.path, *files, env=offline)
    assert (result.returncode, result.stderr) == (0, "")
    result = sentrascan("verify", out, *files, env=offline)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("Refused: it is about other bytes")
    for wrong, code in ((("verify",), 3), (("attest",), 3), (("attest", "x"), 3)):
        assert sentrascan(*wrong, env=env).returncode == code
