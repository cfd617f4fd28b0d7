"""The queue on disk, by several processes at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from kombu import Connection

pytestmark = pytest.mark.sqlite

MESSAGES = 400
SENDER = """
import sys
from kombu import Connection
from sentrascan_project import filequeue
folder, name = sys.argv[1:]
folders = ("data_folder_in", "data_folder_out", "control_folder")
options = dict.fromkeys(folders, folder)
with Connection("filesystem://localhost//", transport=filequeue.Transport,
                transport_options=options) as connection:
    queue = connection.SimpleQueue("scans")
    for number in range(400):
        queue.put({"from": name, "number": number})
"""


@pytest.fixture
def options(tmp_path: Path) -> dict[str, str]:
    folders = ("data_folder_in", "data_folder_out", "control_folder")
    return dict.fromkeys(folders, str(tmp_path))


def connect(options: dict[str, str]) -> Connection:
    from sentrascan_project import filequeue

    return Connection(
        "filesystem://localhost//",
        transport=filequeue.Transport,
        transport_options=options,
    )


def test_every_message_arrives_once_and_whole_whoever_writes_meanwhile(options):
    folder = options["data_folder_in"]
    senders = [
        subprocess.Popen([sys.executable, "-c", SENDER, folder, name]) for name in "ab"
    ]
    seen = []
    with connect(options) as connection:
        queue = connection.SimpleQueue("scans")
        while len(seen) < 2 * MESSAGES:
            message = queue.get(timeout=30)
            seen.append((message.payload["from"], message.payload["number"]))
            message.ack()
    assert [sender.wait(30) for sender in senders] == [0, 0]
    assert len(set(seen)) == 2 * MESSAGES
    for name in "ab":
        mine = [number for sender, number in seen if sender == name]
        assert mine == sorted(mine)


def test_an_unreadable_message_does_not_end_the_reader(options):
    folder = Path(options["data_folder_in"])
    (folder / "00_broken.others.msg").write_text("")
    with connect(options) as connection:
        # kombu remembers in the process, not the folder, which queues are bound
        queue = connection.SimpleQueue("others")
        queue.put({"number": 1})
        message = queue.get(timeout=10)
        message.ack()
    assert message.payload == {"number": 1}
    assert list(folder.glob("*.msg*")) == []
