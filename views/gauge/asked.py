"""The Indicators page's questions to the store, remembered by data version."""

from __future__ import annotations

import datetime as dt

import numpy as np
import numpy.typing as npt
import streamlit as st

from data import listing
from data.analyses import indicators
from data.analyses.indicators import (
    Dimension,
    Indicator,
    IndicatorQuery,
    IndicatorResult,
    Part,
    RemedyCurve,
    month_query,
)
from data.listing import ReportPage
from views.access import connection


@st.cache_data(max_entries=64, show_spinner=False)
def answer(version: int, query: IndicatorQuery) -> IndicatorResult:
    with connection() as conn:
        return indicators.indicators(conn, query)


@st.cache_data(max_entries=64, show_spinner=False)
def curves(
    version: int, query: IndicatorQuery, keys: tuple[int | str | None, ...]
) -> tuple[RemedyCurve, ...]:
    with connection() as conn:
        return indicators.remedy_curves(conn, query, keys)


@st.cache_data(max_entries=64, show_spinner=False)
def behind(
    version: int,
    query: IndicatorQuery,
    indicator: Indicator,
    key: int | str | None,
    part: Part,
    band: int | None,
) -> npt.NDArray[np.int64]:
    with connection() as conn:
        return indicators.reports_behind(conn, query, indicator, key, part, band=band)


@st.cache_data(max_entries=128, show_spinner=False)
def lines(version: int, territory_id: int, ids: tuple[int, ...]) -> ReportPage:
    """The reports with these ids, newest first."""
    with connection() as conn:
        return listing.reports_of(conn, territory_id, ids)


def months(first: dt.date, last: dt.date, most: int = 36) -> list[dt.date]:
    """First days of the months with reports, newest first."""
    found: list[dt.date] = []
    month = last.replace(day=1)
    while month >= first.replace(day=1) and len(found) < most:
        found.append(month)
        month = (month - dt.timedelta(days=1)).replace(day=1)
    return found


def usual(found: list[dt.date], last: dt.date) -> dt.date:
    """The newest month that is over, else the newest."""
    over = [
        month
        for month in found
        if (month + dt.timedelta(days=31)).replace(day=1) <= last + dt.timedelta(days=1)
    ]
    return (over or found)[0]


def question(territory_id: int, month: dt.date, by: Dimension, first: dt.date) -> IndicatorQuery:
    """The month's question; months are compared over the year up to it."""
    if by is not Dimension.MONTH:
        return month_query(territory_id, month, by)
    asked = month_query(territory_id, month, by)
    begin = dt.date(month.year - 1, month.month, 1)
    begin = (begin + dt.timedelta(days=32)).replace(day=1)
    return IndicatorQuery(territory_id, by, max(begin, first.replace(day=1)), asked.end)
