"""Widgets of the methods' settings, bound to session and address in one call.

Keys begin with the method's code (``chance_k``), so that two methods do not share a value
by accident; ``size`` alone is meant to be shared. A value that equals its default is left
out of the address.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import TypeVar

import streamlit as st

from views import state
from views.method import Scene
from views.words import short

T = TypeVar("T", bound=str | int)
WIDTH = 230  # px: three stand side by side on a laptop, one on a phone


def choice(key: str, label: str, labels: Mapping[T, str], default: T, help: str | None = None) -> T:
    """One of several: ``labels`` maps the code in the address to its words."""
    value = state.one(key, default, list(labels))
    st.selectbox(label, list(labels), key=key, format_func=dict(labels).__getitem__, help=help, width=WIDTH)
    return value


def whole(
    key: str, label: str, default: int, low: int, high: int, step: int = 1, help: str | None = None
) -> int:
    """A whole number from ``low`` to ``high``."""
    value = state.whole(key, default, low, high)
    st.number_input(label, low, high, step=step, key=key, help=help, width=WIDTH)
    return value


def decimal(
    key: str, label: str, default: float, low: float, high: float, step: float, help: str | None = None
) -> float:
    """A number from ``low`` to ``high`` in steps of ``step``."""
    value = state.decimal(key, default, low, high)
    digits = max(0, -Decimal(str(step)).normalize().as_tuple().exponent)  # type: ignore[operator]
    form = f"%.{digits}f"
    st.number_input(label, low, high, step=step, format=form, key=key, help=help, width=WIDTH)
    return value


def day(
    key: str, label: str, default: dt.date, first: dt.date, last: dt.date, help: str | None = None
) -> dt.date:
    """A day from ``first`` to ``last``."""
    value = state.day(key, default, first, last)
    st.date_input(label, key=key, min_value=first, max_value=last, help=help, width=WIDTH)
    return value


def switch(key: str, label: str, help: str | None = None, default: bool = False) -> bool:
    """On or off."""
    value = state.flag(key, default)
    st.checkbox(label, key=key, help=help)
    return value


def resolution(scene: Scene) -> int | None:
    """The hexagon's size, shared by all methods: None for the automatic choice."""
    words = scene.words
    labels = {"auto": words("method.size_auto")} | {
        str(r): words("units.km2", km2=short(km2)) for r, km2 in scene.sizes
    }
    chosen = choice("size", words("method.size"), labels, "auto", words("method.size_help"))
    return None if chosen == "auto" else int(chosen)
