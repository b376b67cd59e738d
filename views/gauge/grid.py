"""All indicators of all rows as one table: choose a number to see its reports; download it all.

The grid is Streamlit's own and does not turn round for Arabic, so columns are handed over in
reverse there. A download holds the full numbers with their intervals, not the rounded ones.
"""

from __future__ import annotations

import functools
from typing import Any

import pandas as pd
import streamlit as st

from data import frames
from data.analyses.indicators import MEANINGS, WHOLE, Indicator, IndicatorResult, Row
from views import access, cards
from views.gauge import behind, telling
from views.words import Words

FORMATS = ("csv", "xlsx")
_FORMS = {"count": "%d", "share": "%.1f%%", "rate": "%.2f", "days": "%.1f"}


def draw(words: Words, territory: str, result: IndicatorResult) -> None:
    """The table, the whole first, in a box with its downloads."""
    shown = [i for i in Indicator if any(row.reading(i) is not None for row in (result.whole, *result.rows))]
    rows = (result.whole, *result.rows)
    with st.container(border=True, key="rasd_grid"):
        st.html(cards.title(words("gauge.table")))
        st.caption(words("gauge.table_note"))
        frame, config, order = _frame(words, result, rows, shown)
        event = st.dataframe(
            frame,
            hide_index=True,
            column_config=config,
            height=min(38 + 35 * len(rows), 460),
            key="gauge_table",
            on_select="rerun",
            selection_mode="single-cell",
            placeholder="–",
        )
        _take(event, rows, order)
        with st.container(horizontal=True):
            for form in FORMATS if access.may("download") else ():
                st.download_button(
                    words("gauge.get", form=words(f"download.{form}")),
                    access.carried(functools.partial(_file, result, form)),
                    file_name=f"rasd_{territory}_{result.query.by}_{result.query.end:%Y%m}.{form}",
                    mime="application/octet-stream",
                    on_click="ignore",
                    key=f"gauge_{form}",
                )


def _frame(
    words: Words, result: IndicatorResult, rows: tuple[Row, ...], shown: list[Indicator]
) -> tuple[pd.DataFrame, dict[str, Any], dict[str, Indicator]]:
    heading = words(f"dimension.{result.query.by}")
    columns: dict[str, list[Any]] = {heading: [telling.name(words, result, row) for row in rows]}
    config: dict[str, Any] = {heading: st.column_config.TextColumn(pinned=not words.rtl)}
    order: dict[str, Indicator] = {}
    for indicator in shown:
        label = words(f"indicator.{indicator}")
        kind = MEANINGS[indicator].kind
        scale = 100 if kind == "share" else 1
        values = [row.reading(indicator) for row in rows]
        columns[label] = [
            None if one is None or one.value is None else scale * float(one.value) for one in values
        ]
        config[label] = st.column_config.NumberColumn(format=_FORMS[kind], help=words(f"meaning.{indicator}"))
        order[label] = indicator
    frame = pd.DataFrame(columns)
    if words.rtl:
        frame = frame[frame.columns[::-1]]
    return frame, config, order


def _take(event: Any, rows: tuple[Row, ...], order: dict[str, Indicator]) -> None:
    """Open the reports behind a number that was just chosen."""
    cells = list(event["selection"]["cells"])
    if not cells or cells == st.session_state.get("_gauge_cell"):
        return
    st.session_state["_gauge_cell"] = cells
    at, label = cells[0]
    indicator = order.get(str(label))
    if indicator is None:
        return
    row = rows[int(at)]
    reading = row.reading(indicator)
    if reading is not None and reading.count:
        behind.choose(behind.Chosen(indicator, "count", None, WHOLE if int(at) == 0 else row.key))


def _file(result: IndicatorResult, form: str) -> bytes:
    """One line a row and indicator, every field of the reading."""
    lines = [
        {
            "dimension": str(result.query.by),
            "key": WHOLE if row is result.whole else row.key,
            "name_ar": row.name_ar,
            "name_en": row.name_en,
            "first_day": result.query.start.isoformat(),
            "last_day": result.query.end.isoformat(),
            "as_of": result.as_of.isoformat(),
            "indicator": str(reading.indicator),
            "value": reading.value,
            "low": reading.low,
            "high": reading.high,
            "count": reading.count,
            "base": reading.base,
            "shrunken": reading.shrunken,
            "position": reading.position,
            "rank": reading.rank,
            "before": reading.before,
            "target": reading.target,
            "simulated": result.simulated,
        }
        for row in (result.whole, *result.rows)
        for reading in row.readings
    ]
    with access.connection() as conn:
        access.took_out(conn, "indicators", len(lines), by=str(result.query.by), until=str(result.query.end))
    return frames.frame_bytes(pd.DataFrame(lines).astype({"key": "string"}), form, "indicators")
