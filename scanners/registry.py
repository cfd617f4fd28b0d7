"""The scanners this installation knows, by name."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from django.core.exceptions import ImproperlyConfigured

from scanners import adapters
from scanners.contract import Scanner, TargetKind

SCANNERS: dict[str, Scanner] = {}


def register[S: Scanner](cls: type[S]) -> type[S]:
    """Make an adapter known; raise `ImproperlyConfigured` if its name is taken."""
    if not getattr(cls, "name", "") or not getattr(cls, "kinds", None):
        raise ImproperlyConfigured(f"{cls.__qualname__} has no name or no kinds")
    known = SCANNERS.get(cls.name)
    if known is not None:
        raise ImproperlyConfigured(
            f"Two scanners are called {cls.name!r}: {type(known).__qualname__} "
            f"and {cls.__qualname__}"
        )
    SCANNERS[cls.name] = cls()
    return cls


def load_adapters() -> None:
    """Import every module of `scanners.adapters`.

    A broken adapter stops start-up: a scanner that silently vanishes would turn
    "not scanned" into "nothing found".
    """
    for module in pkgutil.iter_modules(adapters.__path__, f"{adapters.__name__}."):
        import_module(module.name)


def scanners_for(kind: TargetKind) -> list[Scanner]:
    """Return the scanners that look at targets of `kind`, by name."""
    return [SCANNERS[name] for name in sorted(SCANNERS) if kind in SCANNERS[name].kinds]
