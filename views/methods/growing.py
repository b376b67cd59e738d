"""Where is it growing? The history of every hexagon in one of 17 patterns."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
from sqlalchemy import Connection

from data.analyses.trends import Step, Trends, TrendSettings, trends
from data.query import ReportQuery
from geo.scale import LARGEST_K, disk
from geo.trends import CODES, Pattern
from layers.cellmap import CellLayer, Reading, classed
from layers.palettes import EMERGING
from views import controls
from views.method import Column, Finding, History, Method, Scene, Table, Tick, place
from views.words import Words, number, short

CLASSES = {
    "hot_intensifying": "growing.hot_intensifying",
    "hot_new": "growing.hot_new",
    "hot_consecutive": "growing.hot_consecutive",
    "hot_oscillating": "growing.hot_oscillating",
    "hot_persistent": "growing.hot_persistent",
    "hot_sporadic": "growing.hot_sporadic",
    "hot_diminishing": "growing.hot_diminishing",
    "hot_historical": "growing.hot_historical",
    "cold_intensifying": "growing.cold_intensifying",
    "cold_new": "growing.cold_new",
    "cold_consecutive": "growing.cold_consecutive",
    "cold_oscillating": "growing.cold_oscillating",
    "cold_persistent": "growing.cold_persistent",
    "cold_sporadic": "growing.cold_sporadic",
    "cold_diminishing": "growing.cold_diminishing",
    "cold_historical": "growing.cold_historical",
    "none": "growing.none",
}
VERDICTS = {
    "hot_new": "growing.says_hot_new",
    "hot_consecutive": "growing.says_hot_consecutive",
    "hot_intensifying": "growing.says_hot_intensifying",
    "hot_persistent": "growing.says_hot_persistent",
    "hot_diminishing": "growing.says_hot_diminishing",
    "hot_sporadic": "growing.says_hot_sporadic",
    "hot_oscillating": "growing.says_hot_oscillating",
    "hot_historical": "growing.says_hot_historical",
    "cold_new": "growing.says_cold_new",
    "cold_consecutive": "growing.says_cold_consecutive",
    "cold_intensifying": "growing.says_cold_intensifying",
    "cold_persistent": "growing.says_cold_persistent",
    "cold_diminishing": "growing.says_cold_diminishing",
    "cold_sporadic": "growing.says_cold_sporadic",
    "cold_oscillating": "growing.says_cold_oscillating",
    "cold_historical": "growing.says_cold_historical",
    "none": "growing.says_none",
}
STEPS = {"auto": "growing.auto", "month": "growing.month", "week": "growing.week"}
ONE = {"month": "growing.one_month", "week": "growing.one_week"}
MANY = {"month": "growing.months", "week": "growing.weeks"}
PER = {"month": "growing.per_month", "week": "growing.per_week"}
PER_INCIDENTS = {"month": "growing.per_month_incidents", "week": "growing.per_week_incidents"}
WAYS = {1: "growing.up", -1: "growing.down", 0: "growing.flat"}
SURE = {5: "growing.sure95", 1: "growing.sure99", 10: "growing.sure90"}
STRONGER = ("hot_intensifying",)
FRESH = ("hot_new", "hot_consecutive")
WEAKER = ("hot_diminishing", "hot_historical")
LEAST_SHOWN = 0.001  # a smaller p says no more to a reader than "less than that"
# Patterns in the order of the legend and of the table: what grows comes first.
ORDER = list(CLASSES)
_PLACES = np.array([ORDER.index(code) for code in CODES], dtype=np.uint8)


class Growing(Method[TrendSettings, Trends]):
    code = "growing"
    slow = True  # long weekly histories of many hexagons take seconds
    comparable = True

    def settings(self, scene: Scene) -> TrendSettings:
        words = scene.words
        steps = {code: words(key) for code, key in STEPS.items()}
        step = controls.choice(
            "growing_step", words("growing.step"), steps, "auto", words("growing.step_help")
        )
        size = controls.resolution(scene)
        rings = {0: words("growing.auto")}
        rings |= {k: words("growing.rings", cells=number(disk(k))) for k in range(1, LARGEST_K + 1)}
        k = controls.choice("growing_k", words("growing.k"), rings, 0, words("growing.k_help"))
        levels = {percent: words(key) for percent, key in SURE.items()}
        level = controls.choice("growing_sure", words("growing.sure"), levels, 5, words("growing.sure_help"))
        memory = controls.switch("growing_memory", words("growing.memory"), words("growing.memory_help"))
        return TrendSettings(
            step=None if step == "auto" else cast(Step, step),
            resolution=size,
            k=k or None,
            level=level / 100,
            trend_level=level / 100,
            autocorrelated=memory,
        )

    def compute(
        self, conn: Connection, query: ReportQuery, settings: TrendSettings, tick: Tick | None
    ) -> Trends:
        return trends(conn, query, settings, tick=tick)

    def fixed(self, settings: TrendSettings, result: Trends) -> TrendSettings:
        return replace(settings, step=result.step, resolution=result.resolution, k=result.k)

    def answer(self, words: Words, result: Trends) -> str:
        if not result.steps:
            return words("growing.answer_short")
        held = result.classes()

        def cells(codes: tuple[str, ...]) -> str:
            return number(sum(held.get(code, 0) for code in codes))

        said = words("growing.answer", stronger=cells(STRONGER), fresh=cells(FRESH), weaker=cells(WEAKER))
        slope, step = result.history.whole_slope, words(ONE[result.step])
        way = int(result.history.whole.direction(result.settings.trend_level)[0])
        if way > 0:
            whole = words("growing.whole_up", slope=short(abs(slope)), step=step)
        elif way < 0:
            whole = words("growing.whole_down", slope=short(abs(slope)), step=step)
        else:
            whole = words("growing.whole_flat")
        return f"{said} {whole}"

    def layer(self, scene: Scene, result: Trends, other: Trends | None = None) -> CellLayer:
        words, history = scene.words, result.history
        return classed(
            words("growing.legend"),
            result.resolution,
            result.cells,
            _PLACES[history.patterns],
            [(code, words(key), EMERGING[code]) for code, key in CLASSES.items()],
            [
                Reading(_counted(words, result), result.counts.astype(np.float64), 0),
                Reading(_per(words, result), result.count_slope, 2),
                Reading(words("growing.hot_steps"), history.hot.sum(axis=1).astype(np.float64), 0),
                Reading(words("growing.last_z"), _last_z(result), 2),
            ],
        )

    def table(self, words: Words, result: Trends) -> Table:
        history = result.history
        order = np.lexsort((result.cells, -np.nan_to_num(result.count_slope), _PLACES[history.patterns]))
        order = order[history.patterns[order] != Pattern.NONE]
        names = [words(CLASSES[code]) for code in CODES]
        return Table(
            result.cells,
            order,
            (
                Column("class", words("growing.class"), [names[code] for code in history.patterns], None),
                Column("count_slope", _per(words, result), result.count_slope, 2, words("growing.per_help")),
                Column("count", _counted(words, result), result.counts),
                Column("hot_steps", words("growing.hot_steps"), history.hot.sum(axis=1)),
                Column("cold_steps", words("growing.cold_steps"), history.cold.sum(axis=1)),
                Column("slope", words("growing.slope"), history.slope, 3, words("growing.slope_help")),
                Column("trend_p", words("growing.p"), history.trend.p, 3, words("growing.p_help")),
                Column("last_z", words("growing.last_z"), _last_z(result), 2),
            ),
            "count_slope",
            words("growing.list"),
        )

    def finding(self, words: Words, result: Trends, cell: int) -> Finding | None:
        at = place(result.cells, cell)
        if at is None or not result.steps:
            return None
        history = result.history
        hot, cold = history.hot[at], history.cold[at]
        steps = words.plural(MANY[result.step], result.steps)
        p = float(history.trend.p[at])
        way = int(history.trend.direction(result.settings.trend_level)[at])
        facts = [
            (words("growing.trend"), words(WAYS[way])),
            (words("growing.p"), words("growing.below") if p < LEAST_SHOWN else number(p, 3)),
            (words("growing.last_z"), number(float(history.z[at, -1]), 2)),
            (words("growing.hot_steps"), _of(words, hot, result)),
            (words("growing.cold_steps"), _of(words, cold, result)),
        ]
        if np.isfinite(result.count_slope[at]):
            facts.append((_per(words, result), f"{float(result.count_slope[at]):+.2f}"))
        code = CODES[history.patterns[at]]
        return Finding(
            words(
                VERDICTS[code],
                step=words(ONE[result.step]),
                steps=steps,
                hot=number(int(hot.sum())),
                cold=number(int(cold.sum())),
            ),
            tuple(facts),
            History(
                result.step,
                tuple(result.starts.tolist()),
                tuple(result.series[at].astype(float).tolist()),
                tuple("hot" if h else "cold" if c else "" for h, c in zip(hot, cold, strict=True)),
            ),
        )


def _last_z(result: Trends) -> np.ndarray:
    return result.history.z[:, -1] if result.steps else np.full(len(result.cells), np.nan)


def _counted(words: Words, result: Trends) -> str:
    return words("kpi.incidents") if result.query.incidents else words("kpi.reports")


def _per(words: Words, result: Trends) -> str:
    return words((PER_INCIDENTS if result.query.incidents else PER)[result.step])


def _of(words: Words, steps: np.ndarray, result: Trends) -> str:
    return words("growing.of_steps", n=number(int(steps.sum())), steps=number(result.steps))


METHOD = Growing()
