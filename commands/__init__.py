"""The commands of ``./rasd``: one module each, with ``register``.

Only the module of the command that was typed is imported: the libraries behind all of them
together take seconds to load.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import typer

#: Module and the commands it registers, in the order of ``./rasd --help``.
MODULES = {
    "store": ("up", "down", "status", "demo"),
    "ingest": ("ingest",),
    "quarantine": ("quarantine",),
    "histories": ("histories", "life"),
    "export": ("export",),
    "hotspots": ("hotspots",),
    "trends": ("trends",),
    "forecast": ("forecast", "backtest"),
    "scan": ("scan",),
    "incidents": ("incidents",),
    "density": ("density",),
    "exposure": ("exposure",),
    "routing": ("routing",),
    "campaign": ("campaign",),
    "indicators": ("indicators", "refresh", "target"),
    "pack": ("pack",),
    "open311": ("open311", "keys"),
    "qgis": ("qgis",),
    "photos": ("photos",),
    "users": ("users", "access"),
    "audit": ("audit",),
}


def register(app: typer.Typer, arguments: Sequence[str]) -> None:
    """Register the command that ``arguments`` begin with; all of them when they name none (help)."""
    word = next((word for word in arguments if not word.startswith("-")), "")
    holding = [module for module, names in MODULES.items() if word in names]
    for module in holding or MODULES:
        importlib.import_module(f"commands.{module}").register(app)
