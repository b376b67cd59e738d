"""Where does it keep coming back? Chronic spots, and closings that did not hold."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
from sqlalchemy import Connection

from data.analyses.returning import Returning, ReturningSettings, returning
from data.query import ReportQuery
from layers.cellmap import CellLayer, Reading, classed
from layers.legend import class_limits, classes_of
from layers.palettes import NEUTRAL, NOT_DRAWN, Shade, sequential
from views import controls
from views.method import Column, Finding, Method, Scene, Table, Tick, place
from views.words import Words, number, short

DAYS = {
    0: "returning.days_own",
    1: "returning.days_1",
    3: "returning.days_3",
    7: "returning.days_7",
    14: "returning.days_14",
    30: "returning.days_30",
}
SHADES = 3  # each plain and marked: more would be a legend that nobody reads


class ReturningMethod(Method[ReturningSettings, Returning]):
    code = "returning"
    needs_incidents = True

    def settings(self, scene: Scene) -> ReturningSettings:
        words = scene.words
        least = controls.whole(
            "returning_least", words("returning.least"), 2, 1, 50, help=words("returning.least_help")
        )
        days = controls.choice(
            "returning_days",
            words("returning.days"),
            {days: words(key) for days, key in DAYS.items()},
            0,
            words("returning.days_help"),
        )
        return ReturningSettings(controls.resolution(scene), least, days or None)

    def compute(
        self, conn: Connection, query: ReportQuery, settings: ReturningSettings, tick: Tick | None
    ) -> Returning:
        return returning(conn, query, settings, tick=tick)

    def answer(self, words: Words, result: Returning) -> str:
        times = words.plural("returning.often", result.settings.least)
        if not len(result.spots):
            return words("returning.nowhere", times=times)
        spots = words.plural("returning.spots", len(result.spots))
        said = words("returning.answer", spots=spots, times=times)
        judged, suspicious = int(result.judged.sum()), int(result.suspicious.sum())
        if not judged:
            return said
        share = words(
            "returning.held",
            suspicious=number(suspicious),
            judged=number(judged),
            percent=short(100 * suspicious / judged),
        )
        return f"{said} {share}"

    def layer(self, scene: Scene, result: Returning, other: Returning | None = None) -> CellLayer:
        words, returns = scene.words, result.chronic_returns
        limits = _limits(returns[returns > 0])
        legend: list[tuple[str, str, Shade]] = [
            ("never", words("returning.never"), NOT_DRAWN),
            ("some", words("returning.some"), NEUTRAL),
        ]
        shades = sequential(len(limits), scene.palette) if limits else ()
        low = result.settings.least  # a chronic spot has no fewer returns
        for limit, shade in zip(limits, shades, strict=True):
            label = number(low) if low == limit else f"{number(low)}–{number(limit)}"
            legend.append((f"upto{limit}", label, shade))
            legend.append(
                (
                    f"broken{limit}",
                    words("returning.broken", returns=label),
                    Shade(shade.light, shade.dark, "cross"),
                )
            )
            low = limit + 1
        position = classes_of(returns.astype(np.float64), limits)
        classes = np.where(
            position >= 0,
            2 + 2 * position + (result.chronic_suspicious > 0),
            (result.recurrences > 0).astype(np.int64),
        )
        return classed(
            words("returning.legend"),
            result.resolution,
            result.cells,
            classes,
            legend,
            [
                Reading(words("returning.returns"), returns.astype(np.float64), 0),
                Reading(words("returning.places"), result.chronic.astype(np.float64), 0),
                Reading(words("returning.suspicious"), result.chronic_suspicious.astype(np.float64), 0),
                Reading(words("returning.gap"), result.median_gap, 0),
            ],
        )

    def table(self, words: Words, result: Returning) -> Table | None:
        spots = result.spots
        what = [words.pick(ar, en) for ar, en in zip(spots.name_ar, spots.name_en, strict=True)]
        return Table(
            spots.cell,
            np.arange(len(spots)),
            (
                Column("recurrences", words("returning.returns"), spots.recurrences),
                Column("name_ar" if words.rtl else "name_en", words("returning.what"), what, None),
                Column(
                    "suspicious",
                    words("returning.suspicious"),
                    spots.suspicious,
                    0,
                    words("returning.suspicious_help"),
                ),
                Column(
                    "median_gap_days",
                    words("returning.gap"),
                    spots.median_gap,
                    0,
                    words("returning.gap_help"),
                ),
                Column(
                    "last_opened",
                    words("returning.last"),
                    [day.isoformat() for day in spots.last_opened],
                    None,
                ),
                Column(
                    "open",
                    words("returning.now"),
                    [words("returning.open" if now else "returning.closed") for now in spots.open.tolist()],
                    None,
                ),
            ),
            "recurrences",
            words("returning.list"),
        )

    def frame(self, result: Returning) -> gpd.GeoDataFrame:
        return result.spots_frame()

    def finding(self, words: Words, result: Returning, cell: int) -> Finding | None:
        at = place(result.cells, cell)
        if at is None:
            return None
        count = int(result.chronic[at])
        if count:
            verdict = words.plural("returning.here", count)
        else:
            verdict = words("returning.some" if result.recurrences[at] else "returning.never")
        facts = [
            (words("kpi.incidents"), number(int(result.incidents[at]))),
            (words("returning.all_returns"), number(int(result.recurrences[at]))),
        ]
        if result.judged[at]:
            held = words(
                "returning.of",
                part=number(int(result.suspicious[at])),
                whole=number(int(result.judged[at])),
            )
            facts.append((words("returning.suspicious"), held))
        worst = np.flatnonzero(result.spots.cell == cell)
        if len(worst):
            first = int(worst[0])
            name = words.pick(result.spots.name_ar[first], result.spots.name_en[first])
            times = words.plural("returning.times", int(result.spots.recurrences[first]))
            facts.append((words("returning.worst"), f"{name} · {times}"))
        if not np.isnan(result.median_gap[at]):
            facts.append((words("returning.gap"), short(float(result.median_gap[at]))))
        return Finding(verdict, tuple(facts))


def _limits(returns: np.ndarray) -> list[int]:
    """At most SHADES rising upper limits of the cells' returns."""
    limits = class_limits(returns)
    if len(limits) <= SHADES:
        return limits
    # The lowest and the highest stay; heavy tails want the upper middle one.
    return [limits[1], limits[-2], limits[-1]]


METHOD = ReturningMethod()
