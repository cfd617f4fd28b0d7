"""Targets below a scan root: no link leads out, whenever it was put there."""

import os
from pathlib import Path

import pytest

from scanners import workspace
from scanners.archives import Limits
from scanners.workspace import WorkspaceError
from tests.scanners import samples


def go_on(moved: int = 0) -> None:
    return None


def copied(tmp_path: Path, path: Path):
    return workspace.from_path(
        path, tmp_path / "run", limits=Limits(), checkpoint=go_on, rung=None
    )


def test_a_directory_is_copied_without_its_links(tmp_path):
    model = tmp_path / "model"
    (model / "deep").mkdir(parents=True)
    (model / "deep" / "w.bin").write_bytes(b"w")
    (model / "out").symlink_to("/etc/passwd")
    (model / "up").symlink_to(tmp_path)
    os.mkfifo(model / "pipe")
    target = copied(tmp_path, model)
    assert [e.path for e in target.elements] == ["deep/w.bin"]
    reasons = {gap.path: gap.reason for gap in target.gaps}
    assert reasons.keys() == {"out", "up", "pipe"}
    assert "link" in reasons["out"]
    assert "link" in reasons["up"]
    assert "regular file" in reasons["pipe"]


def test_roots_hold_whatever_the_link_says(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "m").write_bytes(b"x")
    (root / "way").symlink_to(outside)
    (root / "ok").write_bytes(b"x")
    roots = [root.resolve()]
    assert workspace.inside_roots(str(root / "ok"), roots) == root / "ok"
    for source in (
        root / "way" / "m",
        root / ".." / "outside" / "m",
        root / "missing",
        Path("relative"),
        Path("/etc/passwd"),
    ):
        with pytest.raises(WorkspaceError):
            workspace.inside_roots(str(source), roots)


@pytest.mark.parametrize("name", ["m", "m.zip", "deep", "deep/m"])
def test_a_folder_that_becomes_a_link_after_the_check_leads_nowhere(tmp_path, name):
    root, outside = tmp_path / "root", tmp_path / "outside"
    for place in (root / "way", outside):
        (place / "deep").mkdir(parents=True)
        for file in ("m", "deep/m"):
            (place / file).write_bytes(b"x")
        (place / "m.zip").write_bytes(samples.zip_of({"m": b"x"}))
    real = workspace.inside_roots(str(root / "way" / name), [root.resolve()])
    (root / "way").rename(tmp_path / "gone")
    (root / "way").symlink_to(outside)
    with pytest.raises(WorkspaceError, match="has changed"):
        copied(tmp_path, real)


def test_what_becomes_a_link_itself_leads_nowhere(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    for place in (root / "way", outside):
        place.mkdir(parents=True)
        (place / "m").write_bytes(b"x")
    folder = workspace.inside_roots(str(root / "way"), [root.resolve()])
    folder.rename(tmp_path / "gone")
    folder.symlink_to(outside)
    assert copied(tmp_path, folder).elements == ()
    (folder).unlink()
    folder.mkdir()
    (folder / "m").symlink_to(outside / "m")
    with pytest.raises(WorkspaceError, match="gone or cannot be read"):
        workspace.from_path(
            folder / "m",
            tmp_path / "again",
            limits=Limits(),
            checkpoint=go_on,
            rung=None,
        )


def test_a_sibling_with_the_roots_name_as_prefix_is_outside(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models-secret").write_bytes(b"x")
    with pytest.raises(WorkspaceError, match="scan roots"):
        workspace.inside_roots(str(tmp_path / "models-secret"), [tmp_path / "models"])
