"""A stand-in for `proxy`: takes turns between the web servers that answer."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

AWAY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
    b"Retry-After: 5\r\nConnection: close\r\nContent-Length: 25\r\n\r\n"
    b'{"status": "unavailable"}'
)
CHUNK_BYTES = 65_536


class Front:
    """Listens on a port of its own; `ports` says where the web servers are now."""

    def __init__(self, ports: Callable[[], list[int]], log: Path) -> None:
        self._ports, self._turns, self.log = ports, itertools.count(), log
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.is_open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            if not self.is_open:
                return
            server = self._server()
            if server is None:
                client.recv(CHUNK_BYTES)
                client.sendall(AWAY)
                return
            with server:
                back = threading.Thread(target=pump, args=(server, client), daemon=True)
                back.start()
                pump(client, server)
                back.join()

    def _server(self) -> socket.socket | None:
        ports = self._ports()
        turn = next(self._turns)
        for offset in range(len(ports)):
            with suppress(OSError):
                port = ports[(turn + offset) % len(ports)]
                server = socket.create_connection(("127.0.0.1", port), 2)
                with self.log.open("a") as log:
                    log.write(f'{{"logger":"proxy","upstream":"127.0.0.1:{port}"}}\n')
                return server
        return None


def pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        source.settimeout(None)
        while data := source.recv(CHUNK_BYTES):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
