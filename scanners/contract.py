"""What a scanner promises: the types that adapters, runner and callers share.

Nothing here touches a process, a socket, a row or a setting.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from django.db.models import IntegerChoices, TextChoices


class Severity(IntegerChoices):
    """Ordered, so that `max()` and `>=` mean what they say."""

    INFO = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


class TargetKind(TextChoices):
    MODEL = "model", "ML model"
    MCP = "mcp", "MCP server"


class Category(TextChoices):
    """What kind of weakness a rule finds, whichever tool names it."""

    CODE_EXECUTION = "code_execution"
    DESERIALIZATION = "deserialization"
    COMMAND_INJECTION = "command_injection"
    PROMPT_INJECTION = "prompt_injection"
    TOOL_POISONING = "tool_poisoning"
    TOOL_SHADOWING = "tool_shadowing"
    EXCESSIVE_PERMISSION = "excessive_permission"
    SECRET_EXPOSURE = "secret_exposure"
    DATA_EXFILTRATION = "data_exfiltration"
    NETWORK_ACCESS = "network_access"
    FILE_ACCESS = "file_access"
    ARCHIVE_ATTACK = "archive_attack"
    OBFUSCATION = "obfuscation"
    MALFORMED_FILE = "malformed_file"
    MODEL_BACKDOOR = "model_backdoor"
    SUPPLY_CHAIN = "supply_chain"
    LICENCE = "licence"
    VULNERABLE_DEPENDENCY = "vulnerable_dependency"
    BASELINE_DRIFT = "baseline_drift"
    DENIAL_OF_SERVICE = "denial_of_service"
    QUALITY = "quality"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Element:
    """One thing that somebody must look at before a scan can pass.

    `path` is relative and POSIX for a file (`weights/model.bin`); for MCP it is the
    place in the document: `servers/<name>`, `tools/<name>`, `prompts/<name>`,
    `resources/<uri>`, `instructions`, the second of a name `tools/<name>#2`.
    `size` is in bytes, `digest` the SHA-256 in hexadecimal.
    """

    path: str
    size: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """An element that was not examined, and why, in words for people."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Observed:
    """What a started MCP server did: the code of a rule (`MCP-RUNTIME-001`), whose
    element it was, what happened in words for people, and a key that stays the same.
    """

    code: str
    path: str
    detail: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """A thing to scan, already local and read-only: adapters never fetch.

    A model target is the directory `root` with the files of `elements`. An MCP target
    is `document`, the submitted JSON in one shape: `config` (object or null), `tools`,
    `prompts`, `resources` (lists), `instructions` (text or null); `root` is then an
    empty directory. Where its servers were started, `origins` names the server of each
    entry of a list, and `observed` is what they did meanwhile. `gaps` is what the
    workspace could not open.
    """

    kind: TargetKind
    root: Path
    elements: tuple[Element, ...]
    digest: str
    gaps: tuple[Skipped, ...] = ()
    document: Mapping[str, Any] | None = None
    observed: tuple[Observed, ...] = ()

    @property
    def is_file(self) -> bool:
        """Whether it is one file that came by itself: neither folder nor archive."""
        if self.kind is not TargetKind.MODEL or len(self.elements) != 1:
            return False
        return self.elements[0].digest == self.digest


@dataclass(frozen=True, slots=True)
class Location:
    """Where a finding is; unknown parts stay `None`. `path` is an `Element.path`."""

    path: str = ""
    member: str | None = None
    line: int | None = None
    byte_offset: int | None = None
    server: str | None = None
    tool: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """What the catalogue knows of one rule. `source: sentrascan` where we ranked it."""

    rule: str  # "<scanner>:<ID>", upper-case ID
    severity: Severity
    category: Category
    title: str
    why: str = ""  # it matters
    remediation: str = ""
    cwe: tuple[str, ...] = ()  # "CWE-502"
    owasp_llm: tuple[str, ...] = ()  # "LLM03"
    owasp_mcp: tuple[str, ...] = ()  # "MCP03"
    atlas: tuple[str, ...] = ()  # "AML.T0011.000"
    is_catalogued: bool = True


@dataclass(frozen=True, slots=True)
class ReportedFinding:
    """One weakness at one place, as one scanner reports it.

    `element` (tool, layer, opcode and import reference) and `evidence_key` are what is
    stable about it: they enter the fingerprint, while title, severity and positions,
    which tools reword and move, do not. `evidence` is JSON and holds no secret.
    """

    rule: Rule
    title: str
    description: str = ""
    location: Location = Location()
    evidence: Mapping[str, Any] = field(default_factory=dict)
    element: str = ""
    evidence_key: str = ""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What one scanner looked at. Paths are `Element.path`.

    `scanned`: examined whole. `inert`: recognised by content as nothing that can act.
    `failed`: of a format this scanner claims, yet not examined; always a gap.
    What is in none of the three is not this scanner's format: a gap only if no other
    scanner took it. `identified` maps what was parsed to its last byte to its format:
    another scanner's complaint that such a file is malformed is then a note.
    `notes` are checks that cannot run here, in plain words; they are no gaps.
    """

    scanned: frozenset[str] = frozenset()
    inert: frozenset[str] = frozenset()
    failed: tuple[Skipped, ...] = ()
    identified: Mapping[str, str] = field(default_factory=dict)
    bytes_scanned: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What one run returned, normalised.

    `inside` is what the tool saw in a file, by its path: `format`, and names that a
    later version can be compared by (`tensors`, `keys`, `imports`, `members`), as JSON.
    """

    findings: tuple[ReportedFinding, ...] = ()
    coverage: Coverage = Coverage()
    inside: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Command:
    """One call of a tool: what to pass, what to lay out before, what to read after.

    `environment` is the same for every target: a warm host was started with it.

    `files` and `outputs` are names inside the private scratch directory, which is the
    working directory, `HOME` and `TMPDIR` of the tool. `{scratch}` in an argument
    stands for its absolute path.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Completed:
    """A tool that ran to its end by itself: how it ended, what it wrote.

    `exit_code` is negative for a signal. `outputs` holds those of `Command.outputs`
    that exist; streams and outputs are cut at the runner's limits, and a cut one raises
    `ScannerError` before any adapter sees it.
    """

    exit_code: int
    stdout: bytes = b""
    stderr: bytes = b""
    outputs: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use. Sizes in bytes, times in seconds."""

    wall_seconds: float = 300
    cpu_seconds: int = 300
    memory_bytes: int = 2 << 30
    file_bytes: int = 1 << 30
    output_bytes: int = 256 << 20  # everything in scratch together, and each stream
    open_files: int = 256
    processes: int = 64


class ScannerError(Exception):
    """A scanner gave no usable answer. The gate never reads this as "clean"."""


class ScannerTimeout(ScannerError):
    """The run reached its wall time and was killed."""


class ScannerExceeded(ScannerError):
    """The run went over one of its limits and was killed.

    `limit` is the supervisor's word for it: memory, processes, output, hidden, cpu.
    """

    def __init__(self, message: str, limit: str) -> None:
        super().__init__(message)
        self.limit = limit


class ScannerMissing(ScannerError):
    """The tool is not installed, or its environment is broken."""


class ScanStopped(Exception):
    """The caller asked for the end: cancelled, or another worker has the scan."""


class Scanner(ABC):
    """One security tool. An adapter says how to call it and how to read it.

    Both methods are pure: the runner owns processes, files, limits and time.
    """

    name: ClassVar[str]  # stored in rows, never renamed; also the tool's folder
    kinds: ClassVar[frozenset[TargetKind]]
    # "package.module:function", what the tool's console script calls. It runs under the
    # Python that the tool is installed in, which for our own scanners is ours.
    entry_point: ClassVar[str]
    distribution: ClassVar[str]  # whose version is the tool's; "" for our own
    limits: ClassVar[Limits] = Limits()
    # What a warm host imports besides the module of the entry point: `package.module`,
    # `package.*` with all below it, or `module:function()` to be called.
    warm_up: ClassVar[tuple[str, ...]] = ()

    def fits(self, target: Target) -> bool:
        """Whether this scanner has anything to say about `target`."""
        return target.kind in self.kinds

    @abstractmethod
    def command(self, target: Target) -> Command:
        """Return the call that scans `target`."""

    @abstractmethod
    def parse(self, target: Target, completed: Completed) -> Report:
        """Read the tool's report; raise `ScannerError` if it makes no sense."""

    @abstractmethod
    def bait(self) -> Mapping[str, bytes] | Mapping[str, Any]:
        """Return a planted bad sample that a working tool must flag.

        For a model scanner file names and their bytes, for an MCP one a document of
        the shape of `Target.document`.
        """
