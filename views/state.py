"""Keeps the page's state and its address equal, in codes that belong to no language.

Widgets hold their values in the session; the address holds the same values as codes. On
the first run, and after the reader goes back or forward in the browser, the address wins;
on every other run the session does. The place and zoom of the map are not here: the map
writes them after the ``#`` by itself, without a run.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from typing import Any, TypeVar

import streamlit as st

T = TypeVar("T", bound=str | int)
_WRITTEN = "_written"  # what the last run put into the address
_CODES = "_codes"  # what the session held then
_FROM_ADDRESS = "_from_address"
_OFFERED = "_offered"  # the address that the links to other pages carry
_PAGE = "_page_code"
_DEFAULTS = "_defaults"  # values that the address leaves out, as texts


def _text(value: Any) -> str:
    """A value as it stands in the address."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return ",".join(str(v) for v in value)
    return "" if value is None else str(value)


def begin(page: str) -> None:
    """Decide who wins in this run; call it first, with the page's code."""
    state = st.session_state
    written = state.get(_WRITTEN)
    here = st.query_params.to_dict()
    unchanged = all(_text(state.get(key)) == text for key, text in state.get(_CODES, {}).items())
    # Another page by our own link: the session knows more than the link, which may be older.
    linked = state.get(_PAGE, page) != page and here == state.get(_OFFERED)
    state[_PAGE] = page
    # An address that we did not write and that no widget explains: back, forward, or new.
    state[_FROM_ADDRESS] = written is None or (here != written and unchanged and not linked)
    # Assigned on every run, so that widgets which are not shown in this one keep their value.
    for key in state.get(_DEFAULTS, {}):
        if key in state:
            state[key] = state[key]
    state[_CODES] = {}
    state.setdefault(_DEFAULTS, {})


def _incoming(key: str) -> str | None:
    """What the address says about a key, or None when the session decides."""
    if st.session_state[_FROM_ADDRESS] or key not in st.session_state:
        return st.query_params.get(key, "")
    return None


def _keep(key: str, value: Any, default: Any = "") -> None:
    st.session_state[key] = value
    st.session_state[_CODES][key] = _text(value)
    st.session_state[_DEFAULTS][key] = _text(default)


def one(key: str, default: T, allowed: Sequence[T]) -> T:
    """Bind a single choice; a value that is not allowed becomes the default."""
    by_text = {str(a): a for a in allowed}
    incoming = _incoming(key)
    value = by_text.get(incoming if incoming is not None else str(st.session_state[key]), default)
    _keep(key, value, default)
    return value


def many(key: str, allowed: Sequence[T]) -> tuple[T, ...]:
    """Bind a list of choices, none by default; values that are not allowed are dropped."""
    by_text = {str(a): a for a in allowed}
    incoming = _incoming(key)
    texts = incoming.split(",") if incoming is not None else [str(v) for v in st.session_state[key] or []]
    value = [by_text[t] for t in dict.fromkeys(texts) if t in by_text]
    _keep(key, value)
    return tuple(value)


def flag(key: str, default: bool = False) -> bool:
    """Bind a switch; in the address it is 1 or 0."""
    incoming = _incoming(key)
    if incoming is None:
        value = bool(st.session_state[key])
    else:
        value = {"1": True, "0": False}.get(incoming, default)
    _keep(key, value, default)
    return value


def whole(key: str, default: int, low: int, high: int, *, always: bool = False) -> int:
    """Bind a whole number within ``low`` … ``high``; one outside is moved to the nearer end.

    ``always`` writes it into the address also where it equals the default.
    """
    incoming = _incoming(key)
    given = str(st.session_state[key]) if incoming is None else incoming
    digits = given.removeprefix("-")
    # Twelve digits are more than any setting has; int() would take thousands.
    usable = digits.isascii() and digits.isdecimal() and len(digits) <= 12
    value = min(max(int(given) if usable else default, low), high)
    _keep(key, value, "" if always else default)
    return value


def decimal(key: str, default: float, low: float, high: float, *, always: bool = False) -> float:
    """Bind a number within ``low`` … ``high``; one outside is moved to the nearer end.

    ``always`` as in ``whole``.
    """
    incoming = _incoming(key)
    given = str(st.session_state[key]) if incoming is None else incoming
    try:
        value = float(given)
    except ValueError:
        value = default
    if not math.isfinite(value):
        value = default
    value = min(max(value, low), high)
    _keep(key, value, "" if always else default)
    return value


def day(key: str, default: dt.date, first: dt.date, last: dt.date) -> dt.date:
    """Bind a day within ``first`` … ``last``; one outside is moved to the nearer end."""
    incoming = _incoming(key)
    value = st.session_state[key] if incoming is None else None
    if incoming:
        try:
            value = dt.date.fromisoformat(incoming)
        except ValueError:
            value = None
    value = min(max(value or default, first), last)
    _keep(key, value)
    return value


def text(key: str) -> str:
    """Bind a short text that no widget holds, empty by default."""
    incoming = _incoming(key)
    value = str(incoming if incoming is not None else st.session_state[key] or "")
    _keep(key, value)
    return value


def put(key: str, value: str) -> None:
    """Change a text bound with ``text`` and the address with it, also inside a fragment."""
    _keep(key, value)
    address = dict(st.session_state.get(_WRITTEN) or {})
    address.pop(key, None)
    if value:
        address[key] = value
    _write(address)


def bound() -> dict[str, str]:
    """What this run has bound so far, as texts, without what is at its default."""
    defaults = st.session_state[_DEFAULTS]
    return {key: text for key, text in st.session_state[_CODES].items() if text != defaults[key]}


def arrived() -> bool:
    """Whether this run takes its values from the address: a link, or back and forward."""
    return bool(st.session_state[_FROM_ADDRESS])


def say(key: str, value: bool) -> None:
    """Bind a switch that the page itself decides in this run, off by default."""
    _keep(key, value, False)


def reset(key: str) -> None:
    """Take a bound value back to its default; call it in a callback."""
    st.session_state[key] = True if st.session_state.get(_DEFAULTS, {}).get(key) == "1" else ""


def everything() -> dict[str, str]:
    """All values that any page has bound and that are not at their default, as an address.

    Before anything has been bound it is the address itself.
    """
    state, defaults = st.session_state, st.session_state[_DEFAULTS]
    texts = {key: _text(state[key]) for key in defaults if key in state}
    found = {key: text for key, text in texts.items() if text and text != defaults[key]}
    state[_OFFERED] = found if defaults else st.query_params.to_dict()
    return dict(state[_OFFERED])


def finish() -> None:
    """Write the bound values into the address, without those that equal their default."""
    codes: dict[str, str] = st.session_state[_CODES]
    defaults: dict[str, str] = st.session_state[_DEFAULTS]
    _write({key: text for key, text in codes.items() if text and text != defaults[key]})


def _write(address: dict[str, str]) -> None:
    if st.query_params.to_dict() != address:
        st.query_params.from_dict(address)
    st.session_state[_WRITTEN] = address
