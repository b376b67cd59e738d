"""Language direction and the style sheet: what Streamlit does not do for right to left.

Streamlit has no setting for it; ``html{direction:rtl}`` turns nearly everything, and the
rest of ``static/rasd/rtl.css`` turns what is pinned to a side. Names of test ids are those
of Streamlit 1.67.
"""

from __future__ import annotations

import functools

import streamlit as st

from data.settings import settings
from layers.assets import STATIC
from views.words import Words, number

# In a browser whose own language is written right to left, Streamlit mirrors a slider's
# thumbs but not its track; that depends on the browser, not on the page.
RTL_BROWSERS = {"ar", "fa", "he", "ur"}


@functools.cache
def _source(name: str) -> str:
    return (STATIC / "rasd" / name).read_text("utf-8")


def apply(words: Words) -> None:
    """Put in the styles, the page's language and direction, and the page-side script."""
    sheets = [
        _source("page.css"),
        _source("access.css"),
        _source("studio.css"),
        _source("gauge.css"),
        _source("inbox.css"),
    ]
    if words.rtl:
        sheets.append(_source("rtl.css"))
    if (st.context.locale or "").split("-")[0] in RTL_BROWSERS:
        sheets.append(_source("track.css"))
    st.html("<style>" + "\n".join(sheets) + "</style>")
    direction = "rtl" if words.rtl else "ltr"
    # Nothing is declared here: the script runs again, in the same scope, with every language.
    page = f"document.documentElement.lang='{words.language}';document.documentElement.dir='{direction}';"
    st.html(f"<script>{page}{_source('shell.js')}</script>", unsafe_allow_javascript=True)


def uploader(words: Words) -> str:
    """The style sheet of pages that take photos.

    The uploader's own words are English in Streamlit: the sheet puts ours in their place.
    """
    ours = {
        "--rasd-browse": words("filing.browse"),
        "--rasd-drop": words("filing.drop"),
        "--rasd-not-sent": words("filing.not_sent", mb=number(settings().photo_mb)),
    }
    values = ";".join(f"{name}:{css_text(text)}" for name, text in ours.items())
    rule = ".stApp{" + values + "}"
    return "<style>" + _source("filing.css") + rule + "</style>"


def css_text(text: str) -> str:
    """A text as a string of CSS: everything but letters and digits as an escape."""
    return '"' + "".join(c if c.isalnum() else f"\\{ord(c):x} " for c in text) + '"'
