"""Secrets that tests plant, and the search for them in everything that was logged.

The log of every test's own process and of the processes that tests start goes into one
folder (`keep`, `Running`); `tests/conftest.py` searches it when the session ends and
fails the session over one line.
"""

from __future__ import annotations

import base64
import logging
import os
import re
import secrets
from pathlib import Path

# No word of any text that is not planted.
MARK = "pLaNtEdS3cret"
FORMS = re.compile(
    "|".join(
        [
            MARK,
            # the same, encoded, wherever it begins in a group of three bytes
            *(
                re.escape(base64.b64encode(b"x" * n + MARK.encode())[4:16].decode())
                for n in range(3)
            ),
            r"ssk_[0-9A-Za-z]{8}_[0-9A-Za-z]{38}",
            r"ghp_[0-9A-Za-z]{36}",
        ]
    )
)


def planted(what: str) -> str:
    """Return a new secret that nothing may log; `what` says where it was."""
    return f"{MARK}{what.capitalize()}{secrets.token_hex(8)}"


def folder() -> Path:
    path = Path(os.environ["SENTRASCAN_TEST_DIR"]) / "logged"
    path.mkdir(exist_ok=True)
    return path


def keep(formatter: logging.Formatter) -> logging.Handler:
    """Write what this process logs into the folder, from now on."""
    handler = logging.FileHandler(folder() / f"{os.getpid()}.log", encoding="utf-8")
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    return handler


def leaks(texts: list[str]) -> list[str]:
    """Return the lines that hold a secret, those of our logs: JSON objects.

    What a command prints for a person (a new key, once) is no log.
    """
    lines = (line for text in texts for line in text.splitlines())
    return [line for line in lines if line.startswith("{") and FORMS.search(line)]


def leaks_of_the_session() -> list[str]:
    texts = [path.read_text(errors="replace") for path in sorted(folder().iterdir())]
    return leaks(texts)
