"""Every block of docs/runbook.md, and every command that operators knew before it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import IS_SQLITE
from tests.runbook import blocks, earlier
from tests.runbook.blocks import Block, Section
from tests.runbook.promises import EARLIER, OURS, follow, unchanged
from tests.runbook.site import Site
from tests.runbook.stack import Stack

pytestmark = pytest.mark.skipif(IS_SQLITE, reason="it is about a PostgreSQL server")
OUR_SECTIONS = blocks.ours()


def each(sections: list[Section]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("section", sections, ids=lambda each: each.title)


@pytest.fixture(scope="module")
def site(stack: Stack) -> Site:
    site = Site(stack.typed, Path(stack.shell["BACKUP_DIR"]), stack.scanners)
    site.prepare()
    return site


@each(earlier.SECTIONS)
def test_a_page_that_operators_know_keeps_its_promise(site: Site, section: Section):
    assert follow(site, section, EARLIER) == []


@each(OUR_SECTIONS)
def test_a_page_of_ours_keeps_its_promise(site: Site, section: Section):
    assert follow(site, section, OURS) == []


def test_what_the_earlier_pages_ask_for_would_do_harm_without_our_psqlrc(site: Site):
    """Or the promise of "Restore from backup" could not fail."""
    dump = site.done("deploy/bin/backup-db.sh").split()[-1]
    psql = "docker-compose exec -T db psql -X -U sentrascan -d sentrascan"
    with pytest.raises(AssertionError), unchanged(site):
        site.typed(f"gunzip -c {dump} | {psql}")


# --- the runner itself


def test_every_promise_is_of_a_page_that_is_there():
    assert EARLIER.keys() <= {each.title for each in earlier.SECTIONS}
    assert OURS.keys() <= {each.title for each in OUR_SECTIONS}


def test_every_fence_of_the_runbook_is_run_or_checked():
    text = blocks.RUNBOOK.read_text()
    count = sum(len(each.blocks) for each in OUR_SECTIONS)
    assert count == len(re.findall(r"(?m)^```sh$", text)) > 30
    shown = sum(bool(block.shown) for each in OUR_SECTIONS for block in each.blocks)
    assert shown == len(re.findall(r"(?m)^```text$", text))
    assert blocks.in_compose_file()
    for line in "".join(blocks.fences("crontab")).splitlines():
        script = re.search(r"/opt/sentrascan/(\S+)", line)
        assert script
        assert (blocks.ROOT / script[1]).is_file()


def test_it_sees_a_part_that_is_not_in_the_compose_file():
    whole = {"services": {"api": {"logging": {"driver": "json-file"}}}}
    assert blocks.is_within({"services": {"api": {}}}, whole)
    other = {"services": {"api": {"logging": {"driver": "syslog"}}}}
    assert not blocks.is_within(other, whole)


@pytest.mark.parametrize(
    ("block", "code", "output"),
    [
        (Block("x"), 1, ""),
        (Block("x", codes=(3,)), 0, ""),
        (Block("x", says="well"), 0, "ill"),
        (Block("x", never="error"), 0, "an error"),
        (Block("x", shown=["a …", "b"]), 0, "b\na 1\n"),
        (Block("x", shown=["a …"]), 0, "no a 1\n"),
    ],
)
def test_it_sees_what_is_wrong(block: Block, code: int, output: str):
    assert block.faults(code, output)


def test_it_sees_what_is_right():
    block = Block("x", says="well", never="error", codes=(0, 1), shown=["a …", "b"])
    assert block.faults(1, "well\na 1\nb\n") == []


def test_the_links_of_the_runbook_lead_somewhere():
    text = blocks.RUNBOOK.read_text()
    anchors = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"(?m)^##+ (.+)$", text)
    }
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    for link in links:
        name, _, anchor = link.partition("#")
        if name:
            assert (blocks.RUNBOOK.parent / name).is_file(), link
        else:
            assert anchor in anchors, link
