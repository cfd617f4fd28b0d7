"""Real wheels made on the spot, so that set-up is tested without any registry."""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from pathlib import Path

from scanners.environments import Recipe


def make_wheel(folder: Path, name: str, version: str, code: str) -> str:
    """Write the wheel of a package of one module; return its SHA-256 in hexadecimal.

    Format: https://packaging.python.org/en/latest/specifications/binary-distribution-format/
    """
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    bytecode = f"{sys.implementation.cache_tag}.pyc"
    files = {
        f"{name}.py": code,
        # Some real wheels bring bytecode, which the one made here then replaces.
        f"__pycache__/{name}.{bytecode}": "of another machine",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\n"
        f"Version: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    record = ""
    for path, text in files.items():
        digest = hashlib.sha256(text.encode()).digest()
        encoded = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        record += f"{path},sha256={encoded},{len(text.encode())}\n"
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def make_recipe(folder: Path, version: str = "1.0", digest: str = "") -> Recipe:
    """Return the recipe of a tool of one package, whose wheel lies in folder/wheels."""
    code = f"def main():\n    print('toolbox {version}')\n"
    made = make_wheel(folder / "wheels", "toolbox", version, code)
    lock = folder / "toolbox.txt"
    lock.write_text(f"toolbox=={version} \\\n    --hash=sha256:{digest or made}\n")
    return Recipe("toolbox", lock)
