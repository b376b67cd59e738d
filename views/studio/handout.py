"""What teams are given: a work order to print, sheets, map layers and tracks for navigation.

A file is made when its button is pressed, from the plan that is shown and in the reader's
language; pressing it runs nothing else.
"""

from __future__ import annotations

import functools

import streamlit as st

from data.backdrops import backdrop
from data.database import connection
from data.plan import CampaignPlan
from views import cards
from views.handouts import export_plan
from views.words import Words

FORMATS = {
    "html": "text/html",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "geojson": "application/geo+json",
    "gpkg": "application/geopackage+sqlite3",
    "gpx": "application/gpx+xml",
}


def draw(
    words: Words, plan: CampaignPlan, title: str, campaign: int | None = None, version: int | None = None
) -> None:
    """One button a format, each with a line on what it is for; a saved plan's number is in every file."""
    with st.container(border=True, key="rasd_handout"):
        st.html(cards.title(words("handout.title")) + cards.note(words("handout.note")))
        with st.container(horizontal=True):
            for form in FORMATS:
                st.download_button(
                    words(f"handout.{form}"),
                    functools.partial(make, plan, form, words.language, title, campaign, version),
                    file_name=f"rasd_{plan.territory}_{plan.kind}_{words.language}.{form}",
                    mime=FORMATS[form],
                    on_click="ignore",
                    key=f"handout_{form}",
                    help=words(f"handouthelp.{form}"),
                    type="primary" if form == "html" else "secondary",
                )


def make(
    plan: CampaignPlan,
    form: str,
    language: str,
    title: str,
    campaign: int | None = None,
    version: int | None = None,
) -> bytes:
    """The file's content."""
    roads = None
    if form == "html":
        with connection() as conn:
            roads = backdrop(conn, plan)
    return export_plan(plan, form, language, title=title, campaign=campaign, version=version, roads=roads)
