"""Start a tool as its console script would.

    python -I launch.py package.module:function ARGUMENT...

Standard library only: it runs under each tool's own Python. Nothing is on the path but
that Python's packages, so that a file in the working directory is never imported.
"""

import importlib
import importlib.util
import sys
import threading
import traceback
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Call the entry point with the arguments that follow it, exit with its answer."""
    entry_point, *arguments = sys.argv[1:]
    module_name, _, function_name = entry_point.partition(":")
    package = module_name.partition(".")[0]
    if package == "scanners":
        _bind_own_package()
    sys.argv = [package, *arguments]
    function = getattr(importlib.import_module(module_name), function_name)
    sys.exit(function())


def _bind_own_package() -> None:
    """Make `scanners` importable without the project root on the path.

    In the sandbox only this folder can be listed: the root also holds uploads and keys.
    """
    if "scanners" in sys.modules:
        return  # a warm host has it
    folder = Path(__file__).resolve().parent
    spec = importlib.util.spec_from_file_location(
        "scanners", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"no package in {folder}")
    module = importlib.util.module_from_spec(spec)
    sys.modules["scanners"] = module
    spec.loader.exec_module(module)


def ended(function: "Callable[[], object]") -> int:
    """Call `function` and return the exit code that Python itself would end with.

    For a forked child: what its parent registered for its own end must not run here.
    Source: the standard library's documentation of `sys.exit`.
    """
    code: object = None
    try:
        function()
    except SystemExit as end:
        code = end.code
    # Whatever flies here would end a process of its own with a trace, too.
    except BaseException:  # noqa: BLE001 - see above
        traceback.print_exc()
        code = 1
    if not isinstance(code, int | None):
        sys.stderr.write(f"{code}\n")
        code = 1
    try:
        # Waits for threads, as the interpreter does at its end; no public name does.
        threading._shutdown()  # type: ignore[attr-defined]  # it is no public name
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        return 120
    return (code or 0) & 0xFF


if __name__ == "__main__":
    main()
