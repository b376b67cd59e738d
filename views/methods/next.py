"""Where will it be next? Reports to expect by hexagon, beside how well that did before."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pandas as pd
import streamlit as st
from sqlalchemy import Connection

from data.analyses.forecasts import (
    Backtest,
    Forecast,
    ForecastSettings,
    Horizon,
    backtest,
    forecast,
    kept_backtest,
)
from data.query import ReportQuery
from geo.backtest import BUDGETS
from geo.forecast import AUTO, PLAIN
from layers.cellmap import CellLayer, Reading, classed
from layers.palettes import NOT_DRAWN, Mark, Shade, sequential
from views import cards, controls, jobs
from views.access import connection
from views.method import Column, Finding, Method, Scene, Table, Tick, place
from views.words import Words, number, short

HORIZONS = {"month": "next.month", "week": "next.week"}
WINDOWS = {"month": "next.months", "week": "next.weeks"}
MODELS = {
    "auto": "next.auto",
    "average": "next.average",
    "mixture": "next.mixture",
    "kinds": "next.kinds",
    "boosted": "next.boosted",
    "season": "next.season",
    "kde_decay": "next.kde_decay",
    "kde_best": "next.kde_best",
    "kde": "next.kde",
    "recent": "next.recent",
    "past": "next.past",
    "last": "next.last",
}
CHOSEN = {0.01: "next.first1", 0.02: "next.first2", 0.05: "next.first5", 0.10: "next.first10"}
TOLD = 0.05  # the budget that the sentences speak of
COMPARED = BUDGETS[:3]  # parts of the area at which it is compared with the plain ways
SHOWN = ("auto", "average", "mixture", "kinds", "boosted", "season", "kde_decay", "kde_best", "kde", "recent", "past", "last")  # fmt: skip


@dataclass(frozen=True, slots=True)
class NextSettings:
    """The forecast's settings; ``tested`` makes a new answer of one whose backtest has come."""

    forecast: ForecastSettings
    tested: bool


class Next(Method[NextSettings, Forecast]):
    code = "next"
    slow = True

    def settings(self, scene: Scene) -> NextSettings:
        words = scene.words
        horizons = {code: words(key) for code, key in HORIZONS.items()}
        horizon = controls.choice(
            "next_horizon", words("next.horizon"), horizons, "month", words("next.horizon_help")
        )
        size = controls.resolution(scene)
        models = {code: words(key) for code, key in MODELS.items()}
        model = controls.choice("next_model", words("next.model"), models, AUTO, words("next.model_help"))
        wanted = ForecastSettings(horizon=cast(Horizon, horizon), resolution=size, model=model)
        with connection() as conn:
            tested = kept_backtest(conn, scene.query, wanted) is not None
        return NextSettings(wanted, tested)

    def compute(
        self, conn: Connection, query: ReportQuery, settings: NextSettings, tick: Tick | None
    ) -> Forecast:
        return forecast(conn, query, settings.forecast, tick=tick)

    def fixed(self, settings: NextSettings, result: Forecast) -> NextSettings:
        return replace(settings, forecast=replace(settings.forecast, resolution=result.resolution))

    def answer(self, words: Words, result: Forecast) -> str:
        if result.first is None or result.last is None:
            return words("next.answer_short")
        share = float(result.expected[result.top(TOLD)].sum()) / result.total if result.total else 0.0
        return words(
            "next.answer_incidents" if result.query.incidents else "next.answer",
            reports=number(result.total),
            first=words.date(result.first, hijri=False),
            last=words.date(result.last, hijri=False),
            recent=number(int(result.recent.sum())),
            share=short(100 * share),
            area=short(100 * TOLD),
        )

    def layer(self, scene: Scene, result: Forecast, other: Forecast | None = None) -> CellLayer:
        words = scene.words
        budgets = sorted(BUDGETS)
        shades = sequential(len(budgets), scene.palette)
        legend: list[tuple[str, str, Shade]] = []
        classes = np.full(len(result.cells), len(budgets), dtype=np.uint8)
        # Best first: the colours that stand out most belong to the smallest part of the area.
        for at, (budget, shade) in enumerate(zip(budgets, reversed(shades), strict=True)):
            mark: Mark = "dot" if at == 0 else ""
            legend.append((f"first{budget:g}", words(CHOSEN[budget]), Shade(shade.light, shade.dark, mark)))
        for at in range(len(budgets) - 1, -1, -1):
            classes[result.top(budgets[at])] = at
        legend.append(("rest", words("next.rest"), NOT_DRAWN))
        return classed(
            words("next.legend"),
            result.resolution,
            result.cells,
            classes,
            legend,
            [
                Reading(words("next.expected"), result.expected, 1),
                Reading(words("next.low"), result.low, 0),
                Reading(words("next.high"), result.high, 0),
                Reading(words("next.recent_count"), result.recent.astype(np.float64), 0),
            ],
        )

    def table(self, words: Words, result: Forecast) -> Table:
        return Table(
            result.cells,
            np.argsort(result.rank, kind="stable")[: int(np.count_nonzero(result.top(max(BUDGETS))))],
            (
                Column("expected", words("next.expected"), result.expected, 1),
                Column("low", words("next.low"), result.low, 0, words("next.interval_help")),
                Column("high", words("next.high"), result.high, 0, words("next.interval_help")),
                Column("recent", words("next.recent_count"), result.recent, 0, words("next.recent_help")),
                Column("long_run", words("next.long_run"), result.long_run, 1, words("next.long_run_help")),
                Column("rank", words("next.rank"), result.rank),
            ),
            "expected",
            words("next.list"),
        )

    def finding(self, words: Words, result: Forecast, cell: int) -> Finding | None:
        at = place(result.cells, cell)
        if at is None or result.first is None:
            return None
        low, high = number(float(result.low[at])), number(float(result.high[at]))
        return Finding(
            words("next.says", expected=short(float(result.expected[at])), low=low, high=high),
            (
                (words("next.recent_count"), number(int(result.recent[at]))),
                (words("next.long_run"), short(float(result.long_run[at]))),
                (words("next.rank"), number(int(result.rank[at]))),
                (words("next.model"), words(MODELS[result.model])),
            ),
        )

    def more(self, scene: Scene, result: Forecast, settings: NextSettings) -> None:
        if result.first is None:
            return
        words, query, wanted = scene.words, scene.query, settings.forecast

        def work(tick: Tick) -> Backtest:
            with connection() as conn:
                found = backtest(conn, query, wanted, tick=tick)
                conn.commit()
                return found

        with st.container(border=True, key="rasd_backtest"):
            st.html(cards.title(words("next.tested")))
            key = ("backtest", scene.version, query, replace(wanted, model=AUTO))
            tested = result.tested or jobs.answer(words, key, work, words("next.testing"))
            if tested is None:
                return
            if result.tested is None:
                # It is kept now: the next run forecasts with the model that it chose.
                st.rerun()
            _judgement(words, tested)


def _judgement(words: Words, tested: Backtest) -> None:
    if not tested.starts:
        st.caption(words("next.untestable"))
        return
    windows = words.plural(WINDOWS[tested.settings.horizon], len(tested.starts))
    st.html(cards.note(words("next.how", windows=windows, first=words.date(tested.starts[0], hijri=False))))
    own = tested.score(AUTO, TOLD)
    if own is not None:
        st.markdown(
            words(
                "next.caught",
                area=short(100 * TOLD),
                hit=number(100 * own.hit, 1),
                low=number(100 * own.hit_low, 1),
                high=number(100 * own.hit_high, 1),
                best=number(100 * own.best, 1),
            )
        )
    rivals = [code for code in PLAIN if any(gain.against == code for gain in tested.differences)]
    if rivals:
        st.html(cards.bullets([_against(words, tested, code) for code in rivals]))
    st.dataframe(_scores(words, tested), hide_index=True, key="next_scores")
    st.caption(words("next.table_note"))
    st.caption(words("next.best_model", model=words(MODELS[tested.best])))
    if not math.isnan(tested.coverage):
        st.caption(words("next.coverage", share=number(100 * tested.coverage)))


def _against(words: Words, tested: Backtest, rival: str) -> str:
    """The forecast against one plain way, at each part of the area of which a plan may speak."""
    told = [
        words(
            "next.better" if gain.better else "next.worse" if gain.high < 0 else "next.unsure",
            area=number(100 * gain.budget),
            gain=f"{100 * gain.hit:+.1f}",
        )
        for gain in tested.differences
        if gain.against == rival and gain.budget in COMPARED
    ]
    return words("next.against", model=words(MODELS[rival]), gains=words("next.and").join(told))


def _scores(words: Words, tested: Backtest) -> pd.DataFrame:
    """A line a model: share of the later reports at each budget, and PAI with its interval at one."""
    rows = []
    for code in SHOWN:
        row: dict[str, str] = {words("next.model"): words(MODELS[code])}
        for budget in BUDGETS:
            score = tested.score(code, budget)
            if score is None:
                break
            area = words("next.at_area", area=number(100 * budget))
            row[area] = words(
                "next.cell",
                hit=number(100 * score.hit, 1),
                pai=number(score.pai, 2),
                low=number(score.low, 2),
                high=number(score.high, 2),
            )
        else:
            rows.append(row)
    frame = pd.DataFrame(rows)
    return frame[frame.columns[::-1]] if words.rtl else frame


METHOD = Next()
