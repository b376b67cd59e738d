"""The methods of the Hotspots page, in the order in which they are offered.

Each is a module of this package, named after its code in the address, with one instance
called ``METHOD``. Modules are loaded when they are first asked for.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from typing import Any

from views.method import Method

CODES = ("most", "chance", "growing", "next", "flared", "returning")


@functools.cache
def available() -> tuple[str, ...]:
    """Codes of the methods that are there."""
    return tuple(code for code in CODES if importlib.util.find_spec(f"{__name__}.{code}"))


def get(code: str) -> Method[Any, Any]:
    """The method of a code."""
    found: Method[Any, Any] = importlib.import_module(f"{__name__}.{code}").METHOD
    return found
