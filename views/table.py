"""A method's table: the first rows to look at and sort, all of them to download.

The grid is Streamlit's own, drawn on a canvas; it does not turn around for Arabic, so the
columns are handed over in reverse there. Downloads are safe to open in a spreadsheet.
"""

from __future__ import annotations

import datetime as dt
import functools
from typing import Any

import pandas as pd
import streamlit as st

from data import frames
from geo.cells import to_text
from views import answers, cards, methods
from views.method import Table
from views.results import Drawn
from views.words import Words, number

SHOWN_ROWS = 500
FORMATS = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "geojson": "application/geo+json",
    "gpkg": "application/geopackage+sqlite3",
    "parquet": "application/vnd.apache.parquet",
}


@st.fragment
def draw(drawn: Drawn) -> None:
    """The table with its downloads, folded away until it is asked for."""
    words, scene, method = drawn.scene.words, drawn.scene, methods.get(drawn.code)
    found = method.table(words, drawn.result)
    if found is None or not len(found.order):
        return
    with st.container(border=True):
        st.html(cards.title(words("table.title")))
        _grid(words, scene.version, scene.query.territory_id, found)
        if len(found.order) > SHOWN_ROWS:
            st.caption(words("table.first", n=number(SHOWN_ROWS), all=number(len(found.order))))
        with st.container(horizontal=True, vertical_alignment="bottom"):
            kinds = {form: words(f"download.{form}") for form in FORMATS}
            form = st.selectbox(
                words("download.format"),
                list(kinds),
                key="table_format",
                format_func=kinds.__getitem__,
                width=200,
            )
            st.download_button(
                words("table.button"),
                functools.partial(make, drawn, form),
                file_name=f"rasd_{scene.territory}_{drawn.code}_{dt.date.today():%Y%m%d}.{form}",
                mime=FORMATS[form],
                on_click="ignore",
                key="table_download",
            )


def make(drawn: Drawn, form: str) -> bytes:
    """The file's content: every row of the answer, columns as documented for the method."""
    frame = methods.get(drawn.code).frame(drawn.result)
    return frames.frame_bytes(frame, form, drawn.code)


def _grid(words: Words, version: int, territory_id: int, found: Table) -> None:
    top = found.order[:SHOWN_ROWS]
    names = answers.places(version, territory_id, found.cells[top], words)
    columns: dict[str, object] = {
        words("table.place"): [near if not far else f"{near} · {far}" for near, far in names]
    }
    config: dict[str, Any] = {}
    for column in found.columns:
        values = [column.values[at] for at in top.tolist()]
        columns[column.label] = values
        config[column.label] = (
            st.column_config.TextColumn(help=column.help or None)
            if column.digits is None
            else st.column_config.NumberColumn(help=column.help or None, format=f"%.{column.digits}f")
        )
    columns[words("card.id")] = to_text(found.cells[top])
    frame = pd.DataFrame(columns)
    if words.rtl:
        frame = frame[frame.columns[::-1]]
    st.dataframe(frame, hide_index=True, column_config=config, height=320, key="table")
