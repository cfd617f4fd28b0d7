"""What a tool leaves in its scratch fills no disk, leads nowhere and is gone after."""

from __future__ import annotations

import os
import resource
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest

from scanners.contract import ScannerError
from scanners.sandbox import Rung

from .standin import Stage, alive, need, strongest


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage"))


@pytest.fixture(params=list(Rung), ids=str)
def rung(request: pytest.FixtureRequest) -> Rung:
    return need(request.param)


@pytest.fixture
def token(stage: Stage) -> Iterator[str]:
    """An argument that marks a run's processes; none is left, and no file."""
    token = f"token-{uuid.uuid4()}"
    yield token
    assert alive(token) == []
    assert list(stage.run_dir.iterdir()) == []


FLOODS = {
    "stdout": "import os\nfor _ in range(64): os.write(1, bytes(1 << 20))",
    "stderr": "import os\nfor _ in range(64): os.write(2, bytes(1 << 20))",
    "one file": "f = open('big', 'wb')\nfor _ in range(64): f.write(bytes(1 << 20))",
    "many files": "for i in range(64): open(str(i), 'wb').write(bytes(1 << 20))",
    "empty files": "for i in range(3000): open(str(i), 'wb').close()",
    "unnamed files": (
        "import os, time\nheld = []\n"
        "for i in range(64):\n"
        "    held.append(open('x', 'wb')); os.unlink('x')\n"
        "    held[-1].write(bytes(1 << 20)); held[-1].flush()\n"
        "time.sleep(5)"
    ),
    "deep folders": (
        "import os\nfor _ in range(300):\n    os.mkdir('deep'); os.chdir('deep')"
    ),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_is_ended(stage: Stage, flood: str, token: str) -> None:
    with pytest.raises(
        ScannerError, match="stand-in was killed: it wrote more than 8 MB"
    ):
        stage.perform(FLOODS[flood], token, rung=strongest())


def test_a_flood_is_ended_on_every_rung(stage: Stage, rung: Rung, token: str) -> None:
    with pytest.raises(ScannerError, match="it wrote more than 8 MB"):
        stage.perform(FLOODS["one file"], token, rung=rung)


LEFT = {
    "link": "import os; os.symlink('/etc/passwd', 'out.json')",
    "link to a folder": (
        "import os; os.symlink('/etc', 'logs'); os.symlink('logs/passwd', 'out.json')"
    ),
    "folder": "import os; os.mkdir('out.json')",
}


@pytest.mark.parametrize("left", LEFT)
def test_an_output_that_is_no_plain_file_is_refused(
    stage: Stage, left: str, token: str
) -> None:
    with pytest.raises(ScannerError, match="no plain file"):
        stage.perform(LEFT[left], token, rung=strongest(), outputs=("out.json",))


def test_an_output_below_a_linked_folder_is_refused(stage: Stage, token: str) -> None:
    with pytest.raises(ScannerError, match="no plain file"):
        stage.perform(
            "import os; os.symlink('/etc', 'logs')",
            token,
            rung=strongest(),
            outputs=("logs/passwd",),
        )


def test_what_a_tool_closes_links_and_nests_is_removed(
    stage: Stage, rung: Rung, token: str
) -> None:
    witness = stage.directory / "witness"
    witness.mkdir(exist_ok=True)
    (witness / "kept").write_bytes(b"")
    stage.perform(
        "import os, sys\n"
        "os.symlink(sys.argv[1], 'link')\n"
        "for _ in range(60):\n"
        "    os.mkdir('deep'); os.chdir('deep'); open('file', 'w').close()\n",
        str(witness),
        token,
        rung=rung,
    )
    assert (witness / "kept").exists()


def test_a_closed_folder_is_removed(stage: Stage, token: str) -> None:
    program = "import os; os.makedirs('a/b'); open('a/b/c', 'w'); os.mkdir('a/d', 0)"
    # who is not root cannot look into it, and must not guess
    ending = pytest.raises(ScannerError, match="closed a folder")
    with ending if os.geteuid() else nullcontext():
        stage.perform(program, token, rung=strongest())


@contextmanager
def no_room_beyond(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size`, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_tool_whose_files_have_no_room_gives_no_answer(stage: Stage) -> None:
    program = f"# {'x' * 5000}\nprint('did')"
    with no_room_beyond(1000), pytest.raises(ScannerError, match="have no room"):
        stage.perform(program, rung=strongest())
    assert list(stage.run_dir.iterdir()) == []
    assert stage.perform(program, rung=strongest()).stdout == b"did\n"


def test_a_tool_without_a_place_to_run_in_gives_no_answer(stage: Stage) -> None:
    stage.run_dir.rmdir()
    try:
        with pytest.raises(ScannerError, match="have no room"):
            stage.perform("print('did')", rung=strongest())
    finally:
        stage.run_dir.mkdir()
