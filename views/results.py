"""A method's answer: from memory, computed at once, or as a job with progress.

Keyed by the method, the territory's data version, the query and the settings; results are
shared by all readers and never changed.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from data.query import ReportQuery
from views import jobs, methods
from views.access import connection
from views.method import Scene, Tick
from views.words import Words

KEPT = 48


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What one map shows: what was asked, the answer (None without one), and a heading when there are two."""

    scene: Scene
    result: Any | None
    name: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """The question that the page shows, on one map or on two."""

    code: str
    settings: Any
    shown: tuple[Shown, ...]

    @property
    def scene(self) -> Scene:
        """Of the first map, which keeps the reader's filters."""
        return self.shown[0].scene

    @property
    def result(self) -> Any | None:
        return self.shown[0].result

    def picked(self) -> Shown:
        """The map in which the reader clicked last."""
        return self.shown[min(int(st.session_state.get("_pane", 0)), len(self.shown) - 1)]


def answer(scene: Scene, code: str, query: ReportQuery, settings: Hashable) -> Any | None:
    """The result, or None while the page shows a job's progress or its error."""
    method = methods.get(code)
    if not method.slow:
        return _quick(code, scene.version, query, settings)

    def work(tick: Tick) -> Any:
        with connection() as conn:
            return method.compute(conn, query, settings, tick)

    words, key = scene.words, (code, scene.version, query, settings)
    return jobs.answer(words, key, work, title(words, code), words("job.meanwhile"))


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _quick(code: str, version: int, query: ReportQuery, settings: Any) -> Any:
    with connection() as conn:
        return methods.get(code).compute(conn, query, settings, None)


def title(words: Words, code: str) -> str:
    """The question that a method answers, in the reader's language."""
    return words(f"method.{code}")


def about(words: Words, code: str) -> str:
    """What the method does, in a line."""
    return words(f"method.{code}_about")
