"""Is this container well? `health.py api|worker|beat`; exit code 0 when it is.

Run every few seconds by the engine: no Django, so that asking costs next to nothing.
"""

import http.client
import os
import socket
import sys
import urllib.parse
from pathlib import Path

API_PATH = "/api/v1/health"
SECONDS = 4
# A worker says every 10 s that it is there.
QUIET_SECONDS = 45


def api_is_well() -> bool:
    """Ask our own web server, which asks the database."""
    port = int(os.environ.get("SENTRASCAN_PORT", "8200"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", API_PATH)
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


def worker_is_well() -> bool:
    """Look for a recent sign of life of this container's worker in the database."""
    import psycopg  # the api's check does without

    url = Path(os.environ["DATABASE_URL_FILE"]).read_text(encoding="utf-8").strip()
    seen = (
        "SELECT 1 FROM workers WHERE starts_with(name, %s)"
        " AND seen_at > now() - make_interval(secs => %s)"
    )
    try:
        with psycopg.connect(url, connect_timeout=SECONDS) as connection:
            row = connection.execute(seen, [f"{socket.gethostname()}:", QUIET_SECONDS])
            return row.fetchone() is not None
    except psycopg.Error:
        return False


def beat_is_well() -> bool:
    """Ask whether the broker can be reached: without it no timed task is rung.

    The clock itself needs no question: its process ends when it stops.
    """
    broker = urllib.parse.urlsplit(os.environ["CELERY_BROKER_URL"])
    place = (broker.hostname or "", broker.port or 6379)
    try:
        with socket.create_connection(place, timeout=SECONDS):
            return True
    except OSError:
        return False


CHECKS = {"api": api_is_well, "worker": worker_is_well, "beat": beat_is_well}

if __name__ == "__main__":
    sys.exit(0 if CHECKS[sys.argv[1]]() else 1)
