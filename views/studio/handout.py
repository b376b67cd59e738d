"""What teams are given: a work order to print, sheets, map layers and tracks for navigation.

A file is made when its button is pressed, from the plan that is shown and in the reader's
language; pressing it runs nothing else. ``views/handouts.py`` makes the files.
"""

from __future__ import annotations

import functools

import streamlit as st

from data.backdrops import backdrop
from data.plan import CampaignPlan
from views import access, cards
from views.access import connection
from views.handouts import FORMS, export_plan
from views.words import Words

ROUNDS = ("gpx", "zip")  # forms that hold the rounds of teams


def draw(
    words: Words, plan: CampaignPlan, title: str, campaign: int | None = None, version: int | None = None
) -> None:
    """One button a form, each with a line on what it is for."""
    if not access.may("download"):
        return
    days = bool(plan.areas) and all(area.team is not None for area in plan.areas)
    forms = [form for form in FORMS if form not in ROUNDS or (form == "gpx" and plan.areas) or days]
    with st.container(border=True, key="rasd_handout"):
        st.html(cards.title(words("handout.title")) + cards.note(words("handout.note")))
        with st.container(horizontal=True):
            for form in forms:
                st.download_button(
                    words(f"handout.{form}"),
                    access.carried(
                        functools.partial(make, plan, form, words.language, title, campaign, version)
                    ),
                    file_name=name(plan, form, words.language, campaign),
                    mime=FORMS[form],
                    on_click="ignore",
                    key=f"handout_{form}",
                    help=words(f"handouthelp.{form}"),
                    type="primary" if form == "html" else "secondary",
                )


def name(plan: CampaignPlan, form: str, language: str, campaign: int | None) -> str:
    """The file's name."""
    number = f"_{campaign}" if campaign is not None else ""
    return f"rasd_{plan.territory}_{plan.kind}{number}_{language}.{form}"


def make(
    plan: CampaignPlan, form: str, language: str, title: str, campaign: int | None, version: int | None
) -> bytes:
    """The file's content; a work order has the roads that are loaded behind its maps.

    The trail says who took it out.
    """
    roads = None
    with connection() as conn:
        access.took_out(conn, "plan", len(plan.areas), campaign=campaign, version=version, form=form)
        if form in ("html", "zip"):
            roads = backdrop(conn, plan)
    return export_plan(plan, form, language, title=title, campaign=campaign, version=version, roads=roads)
