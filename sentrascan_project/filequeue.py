"""The queue of the embedded default: one file a message, in one directory.

kombu's filesystem transport, with three of its gaps closed: it lets a reader see a
message that is still being written, which ends the worker; it takes messages by way of
the machine's common temporary directory; and it knows no event loop, for want of which
Celery would watch its pool from threads and fork beside them.
"""

from __future__ import annotations

import logging
import time
import uuid
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.asynchronous import Hub
from kombu.transport import filesystem
from kombu.utils.json import dumps, loads

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
TABLE_TRIES = 50
TABLE_PAUSE_SECONDS = 0.02


class Channel(filesystem.Channel):
    """Messages appear whole, are taken by one reader, and an unreadable one is dropped.

    A bell that was dropped is rung again by the reaper: the row is the truth.
    """

    # kombu's types name the second one twice, each time otherwise.
    def _put(  # type: ignore[override]  # see above
        self, queue: str, payload: dict[str, Any], **kwargs: Any
    ) -> None:
        folder = Path(self.data_folder_out)
        # Names sort by time, which is the order of the queue.
        name = f"{time.time_ns():020d}_{uuid.uuid4().hex}.{queue}.msg"
        draft = folder / f"{name}.part"
        draft.write_text(dumps(payload), encoding="utf-8")
        draft.rename(folder / name)

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        folder = Path(self.data_folder_in)
        names = sorted(path.name for path in folder.glob(f"*.{queue}.msg"))
        for name in names:
            taken = folder / f"{name}.taken"
            try:
                (folder / name).rename(taken)
            except FileNotFoundError:
                continue  # another reader was first
            text = taken.read_text(encoding="utf-8", errors="replace")
            taken.unlink()
            try:
                return loads(text)
            except ValueError:
                logger.warning(
                    "A message of queue %s was unreadable and is gone", queue
                )
        raise Empty

    def get_table(self, exchange: str) -> Any:
        # Another process may just be writing the table of its queues.
        for _ in range(TABLE_TRIES):
            try:
                return super().get_table(exchange)
            except ValueError:
                time.sleep(TABLE_PAUSE_SECONDS)
        return super().get_table(exchange)

    def _queue_bind(self, *args: Any) -> None:
        for _ in range(TABLE_TRIES):
            try:
                super()._queue_bind(*args)
            except ValueError:
                time.sleep(TABLE_PAUSE_SECONDS)
            else:
                return
        super()._queue_bind(*args)


class Transport(filesystem.Transport):
    Channel = Channel
    implements = filesystem.Transport.implements.extend(asynchronous=True)

    def register_with_event_loop(self, connection: Any, loop: Hub) -> None:
        pause = self.polling_interval or LOOK_SECONDS
        loop.call_repeatedly(pause, partial(self._look, connection))

    def _look(self, connection: Any) -> None:
        """Deliver what lies there, as far as the readers take it."""
        with suppress(TimeoutError):  # nothing more
            while True:
                self.drain_events(connection, timeout=0)
