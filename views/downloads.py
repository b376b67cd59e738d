"""The download of what is shown: counts by cell, or reports, in three formats.

The file is made when the button is pressed, by the same query that drew the page; pressing
it runs nothing else. Caveat: a very large set of reports is left to the command line,
which streams it to disk, where the page would hold it in memory.
"""

from __future__ import annotations

import datetime as dt
import functools
import io

import streamlit as st

from data import exports
from data.query import ReportQuery
from views import access, cards, notices
from views.access import connection
from views.words import Words, number, short

FORMATS = {"geojson": "application/geo+json", "gpkg": "application/geopackage+sqlite3", "csv": "text/csv"}
REPORT_LIMIT = 200_000  # about 150 MB as GeoJSON
USUAL_RESOLUTION = 8
COMMAND = "./rasd export --help"


def make(what: str, query: ReportQuery, resolution: int, form: str) -> bytes:
    """The file's content; the trail says who took it out."""
    with connection() as conn:
        access.took_out(conn, what, None, query=repr(query), resolution=resolution, form=form)
        if what == "cells":
            return exports.export_cells(conn, query, resolution, form)
        out = io.BytesIO()
        exports.export_reports(conn, query, form, out)
        return out.getvalue()


@st.fragment
def draw(words: Words, territory: str, query: ReportQuery, sizes: dict[int, float], reports: int) -> None:
    """The choice of content and format, and the button.

    Parameters
    ----------
    territory : its code, for the file's name.
    sizes : mean area of a cell in km² by resolution; empty when nothing is on the map.
    reports : how many reports the query lets through.
    """
    if not access.may("download"):
        return
    st.html(cards.title(words("download.title")))
    contents = {"cells": words("download.cells"), "reports": words("download.reports")}
    if not sizes:  # no report has a point, so there is no cell to count
        del contents["cells"]
    what = st.selectbox(
        words("download.what"), list(contents), key="dl_what", format_func=contents.__getitem__
    )
    resolution = 0
    if what == "cells":
        labels = {r: words("units.km2", km2=short(km2)) for r, km2 in sizes.items()}
        usual = min(range(len(labels)), key=lambda i: abs(list(labels)[i] - USUAL_RESOLUTION))
        resolution = st.selectbox(
            words("download.resolution"),
            list(labels),
            index=usual,
            key="dl_size",
            format_func=labels.__getitem__,
        )
    kinds = {form: words(f"download.{form}") for form in FORMATS}
    form = st.selectbox(words("download.format"), list(kinds), key="dl_format", format_func=kinds.__getitem__)
    if what == "reports" and reports > REPORT_LIMIT:
        limit = words("download.limit", n=number(reports), most=number(REPORT_LIMIT))
        st.html(notices.command(limit, COMMAND))
        return
    size = f"_r{resolution}" if what == "cells" else ""
    name = f"rasd_{territory}_{what}{size}_{dt.date.today():%Y%m%d}.{form}"
    st.download_button(
        words("download.button"),
        access.carried(functools.partial(make, what, query, resolution, form)),
        file_name=name,
        mime=FORMATS[form],
        on_click="ignore",
        width="stretch",
        type="primary",
    )
    st.caption(words("download.note"))
