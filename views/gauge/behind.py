"""The reports behind a number: which number was chosen, their list, and the list as a file.

The chosen number stands in the address as ``behind=<indicator>.<part>.<band>.<key>``, so a
list can be sent to somebody, who sees of it what is open to them.
"""

from __future__ import annotations

import datetime as dt
import functools
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from data import frames
from data.analyses.indicators import AGE_BANDS, WHOLE, Indicator, IndicatorQuery, IndicatorResult, Part, Row
from views import access, cards, links, state
from views.gauge import asked, telling
from views.words import Words, number

KEY = "behind"
LINES = 20
MOST = 20_000  # reports of a downloaded list
_NONE = "-"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A number: of which indicator and row, its count or its base, and which band of ages."""

    indicator: Indicator
    part: Part
    band: int | None
    key: int | str | None


def code(chosen: Chosen) -> str:
    """As it stands in the address."""
    band = "" if chosen.band is None else str(chosen.band)
    return f"{chosen.indicator}.{chosen.part}.{band}.{_NONE if chosen.key is None else chosen.key}"


def read(text: str, rows: tuple[Row, ...]) -> Chosen | None:
    """What an address means; None where it names nothing that is shown."""
    parts = text.split(".", 3)
    if len(parts) != 4 or parts[0] not in set(Indicator) or parts[1] not in ("count", "base"):
        return None
    keys = {_NONE if row.key is None else str(row.key): row.key for row in rows} | {WHOLE: WHOLE}
    if parts[3] not in keys or not (parts[2] == "" or parts[2] in {str(k) for k in range(len(AGE_BANDS))}):
        return None
    band = int(parts[2]) if parts[2] else None
    part: Part = "base" if parts[1] == "base" else "count"
    return Chosen(Indicator(parts[0]), part, band, keys[parts[3]])


def choose(chosen: Chosen | None) -> None:
    """Show the reports behind this number; None closes the list."""
    st.session_state[KEY] = "" if chosen is None else code(chosen)
    st.session_state["_behind_page"] = 0


def button(words: Words, indicator: Indicator, key: int | str | None, *, whole: bool = False) -> None:
    """A small button that opens the reports behind a number."""
    chosen = Chosen(indicator, "count", None, WHOLE if whole else key)
    st.button(
        words("gauge.open"),
        key=f"behind_{code(chosen)}",
        type="tertiary",
        on_click=choose,
        args=(chosen,),
    )


def draw(words: Words, version: int, query: IndicatorQuery, result: IndicatorResult) -> None:
    """The list, if a number was chosen."""
    chosen = read(state.text(KEY), result.rows)
    if chosen is None:
        return
    ids = asked.behind(version, query, chosen.indicator, chosen.key, chosen.part, chosen.band)
    with st.container(border=True, key="rasd_behind"):
        st.html(cards.title(_heading(words, result, chosen)))
        pages = max(1, -(-len(ids) // LINES))
        page = min(int(st.session_state.get("_behind_page", 0)), pages - 1)
        newest = ids[::-1][page * LINES : (page + 1) * LINES]
        st.caption(words("gauge.behind_n", n=number(len(ids))))
        if len(newest):
            found = asked.lines(version, query.territory_id, tuple(int(i) for i in newest))
            st.html(cards.report_list(words, found.lines))
            _open(words, {line.id: line.reference for line in found.lines})
        with st.container(horizontal=True, vertical_alignment="center"):
            if pages > 1:
                st.button(
                    words("list.newer"), key="behind_newer", disabled=page == 0, on_click=_turn, args=(-1,)
                )
                st.html(cards.note(words("list.page", n=f"{number(page + 1)} / {number(pages)}")))
                st.button(
                    words("list.older"),
                    key="behind_older",
                    disabled=page + 1 >= pages,
                    on_click=_turn,
                    args=(1,),
                )
            if len(ids) and access.may("download"):
                st.download_button(
                    words("gauge.behind_get"),
                    access.carried(
                        functools.partial(
                            _file,
                            words,
                            version,
                            query.territory_id,
                            chosen,
                            tuple(ids[::-1][:MOST].tolist()),
                        )
                    ),
                    file_name=f"rasd_{chosen.indicator}_{dt.date.today():%Y%m%d}.csv",
                    mime="text/csv",
                    on_click="ignore",
                    key="behind_get",
                )
            st.button(words("gauge.behind_close"), key="behind_close", on_click=choose, args=(None,))


def _open(words: Words, references: dict[int, str]) -> None:
    """One of the listed reports, whole."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            words("gauge.behind_one"),
            list(references),
            key="behind_one",
            format_func=references.__getitem__,
            width=230,
        )
        if st.button(words("gauge.behind_open"), key="behind_open"):
            links.go("case", report=str(chosen))


def _turn(step: int) -> None:
    st.session_state["_behind_page"] = max(0, int(st.session_state.get("_behind_page", 0)) + step)


def _heading(words: Words, result: IndicatorResult, chosen: Chosen) -> str:
    row = next((row for row in result.rows if row.key == chosen.key), result.whole)
    what = f"{words(f'indicator.{chosen.indicator}')} · {telling.name(words, result, row)}"
    if chosen.band is not None:
        what += f" · {band(words, chosen.band)}"
    return words("gauge.behind" if chosen.part == "count" else "gauge.behind_of", what=what)


def band(words: Words, at: int) -> str:
    """One band of ages in words."""
    low = AGE_BANDS[at]
    if at + 1 == len(AGE_BANDS):
        return words("gauge.age_last", low=number(low - 1))
    return words("gauge.age", low=number(low), high=number(AGE_BANDS[at + 1] - 1))


def _file(words: Words, version: int, territory_id: int, chosen: Chosen, ids: tuple[int, ...]) -> bytes:
    found = asked.lines(version, territory_id, ids)
    with access.connection() as conn:
        access.took_out(
            conn, "indicators.reports", len(found.lines), number=code(chosen), territory=territory_id
        )
    frame = pd.DataFrame(
        {
            "reference": [line.reference for line in found.lines],
            "opened": [f"{line.opened:%Y-%m-%d %H:%M}" for line in found.lines],
            "closed": [None if line.closed is None else line.closed.isoformat() for line in found.lines],
            "element_ar": [line.element_ar for line in found.lines],
            "element_en": [line.element_en for line in found.lines],
            "type": [line.type for line in found.lines],
            "status": [words.status(line.status) for line in found.lines],
        }
    )
    return frames.frame_bytes(frame, "csv", "reports")
