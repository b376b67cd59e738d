"""Where is it more than chance? Hot and cold spots, or clusters and outliers, on counts or rates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sqlalchemy import Connection

from data.analyses.hotspots import (
    GI_CLASSES,
    HotspotResult,
    HotspotSettings,
    Kind,
    hotspots,
)
from data.query import ReportQuery
from geo.scale import LARGEST_K, disk
from layers.cellmap import CellLayer, Reading, classed
from layers.palettes import CLUSTERS, DIVERGING
from views import controls, exposure
from views.method import Column, Finding, Method, Scene, Table, Tick, place
from views.words import Words, number, short

CLASSES = {
    "hot_99": "chance.hot_99",
    "hot_95": "chance.hot_95",
    "hot_90": "chance.hot_90",
    "none": "chance.none",
    "cold_90": "chance.cold_90",
    "cold_95": "chance.cold_95",
    "cold_99": "chance.cold_99",
    "high_high": "chance.high_high",
    "high_low": "chance.high_low",
    "low_high": "chance.low_high",
    "low_low": "chance.low_low",
}
VERDICTS = {
    "hot_99": "chance.says_hot_99",
    "hot_95": "chance.says_hot_95",
    "hot_90": "chance.says_hot_90",
    "none": "chance.says_none",
    "cold_90": "chance.says_cold_90",
    "cold_95": "chance.says_cold_95",
    "cold_99": "chance.says_cold_99",
    "high_high": "chance.says_high_high",
    "high_low": "chance.says_high_low",
    "low_high": "chance.says_low_high",
    "low_low": "chance.says_low_low",
}
KINDS: dict[Kind, str] = {"gi": "chance.gi", "moran": "chance.moran"}
LEAST_SHOWN = 0.001  # a smaller p says no more to a reader than "less than that"


class Chance(Method[HotspotSettings, HotspotResult]):
    code = "chance"
    comparable = True
    says_measure = True

    def settings(self, scene: Scene) -> HotspotSettings:
        words = scene.words
        against = exposure.choose(scene, "chance_exposure")
        size = controls.resolution(scene)
        rings = {0: words("chance.auto")}
        rings |= {k: words("chance.rings", cells=number(disk(k))) for k in range(1, LARGEST_K + 1)}
        k = controls.choice("chance_k", words("chance.k"), rings, 0, words("chance.k_help"))
        kinds = {kind: words(name) for kind, name in KINDS.items()}
        kind = controls.choice("chance_kind", words("chance.kind"), kinds, "gi", words("chance.kind_help"))
        corrected = scene.query.incidents and controls.switch(
            "chance_corrected", words("chance.corrected"), words("chance.corrected_help")
        )
        return HotspotSettings(size, k or None, kind, against, corrected=corrected)

    def compute(
        self, conn: Connection, query: ReportQuery, settings: HotspotSettings, tick: Tick | None
    ) -> HotspotResult:
        return hotspots(conn, query, settings, tick=tick)

    def fixed(self, settings: HotspotSettings, result: HotspotResult) -> HotspotSettings:
        return replace(settings, resolution=result.resolution, k=result.k)

    def answer(self, words: Words, result: HotspotResult) -> str:
        hot = result.hot
        if not hot.any():
            return words("chance.answer_none")
        area = 100 * float(result.km2[hot].sum()) / float(result.km2.sum())
        share = 100 * float(result.counts[hot].sum()) / max(int(result.counts.sum()), 1)
        said = words(
            "chance.answer_incidents" if result.query.incidents else "chance.answer",
            cells=words.plural("units.cells", int(hot.sum())),
            area=short(area),
            share=short(share),
        )
        if result.before is not None:
            kept = hot & (result.before == result.classes)
            both = words("chance.kept", kept=number(int(kept.sum())), all=number(int(hot.sum())))
            return f"{said} {both}"
        return said

    def layer(self, scene: Scene, result: HotspotResult, other: HotspotResult | None = None) -> CellLayer:
        words = scene.words
        count = words("kpi.incidents") if result.query.incidents else words("kpi.reports")
        readings = [Reading(count, result.counts.astype(np.float64), 0)]
        if result.rates is not None:
            readings.append(Reading(exposure.rate(words, result.rates.kind), result.rates.rate, 2))
        readings.append(Reading(words("chance.z"), result.z, 2))
        readings.append(Reading(words("chance.q"), result.q, 3))
        return classed(
            words(KINDS[result.settings.method]),
            result.resolution,
            result.cells,
            result.classes.astype(np.uint8),
            [(code, words(CLASSES[code]), _shade(code)) for code in result.codes],
            readings,
        )

    def table(self, words: Words, result: HotspotResult) -> Table:
        order = _order(result)
        columns = [
            Column("z", words("chance.z"), result.z, 2, words("chance.z_help")),
            Column(
                "class",
                words("chance.class"),
                [words(CLASSES[result.codes[c]]) for c in result.classes],
                None,
            ),
            Column(
                "count", words("kpi.incidents" if result.query.incidents else "kpi.reports"), result.counts
            ),
            Column("around", words("chance.around"), result.around, 0, words("chance.around_help")),
            Column("q", words("chance.q"), result.q, 4, words("chance.q_help")),
        ]
        rates = result.rates
        if rates is not None:
            columns += [
                Column("rate", exposure.rate(words, rates.kind), rates.rate, 2, words("chance.rate_help")),
                Column("low", words("chance.low"), rates.low, 2),
                Column("high", words("chance.high"), rates.high, 2),
                Column("exceed", words("chance.exceed"), rates.exceed, 2, words("chance.exceed_help")),
            ]
        if result.before is not None:
            before = [words(CLASSES[result.codes[c]]) for c in result.before]
            columns.append(Column("class_before", words("chance.before"), before, None))
        return Table(result.cells, order, tuple(columns), "z", words("chance.list"))

    def finding(self, words: Words, result: HotspotResult, cell: int) -> Finding | None:
        at = place(result.cells, cell)
        if at is None:
            return None
        if not np.isfinite(result.z[at]):
            return Finding(words("chance.says_untested"))
        rates = result.rates
        facts = [(words("chance.around"), number(int(result.around[at])))]
        if result.before is None:
            facts.append((words("chance.average"), short(float(result.expected[at]))))
        if rates is None:
            facts.append((words("chance.z"), number(float(result.z[at]), 2)))
        facts.append((words("chance.q"), _chance(words, float(result.q[at]))))
        if rates is not None:
            low, high = short(float(rates.low[at])), short(float(rates.high[at]))
            exceed = words("units.percent", n=number(100 * float(rates.exceed[at])))
            facts += [
                (exposure.rate(words, rates.kind), short(float(rates.rate[at]))),
                (words("chance.interval"), words("chance.from_to", low=low, high=high)),
                (words("chance.exceeds", level=short(rates.level)), exceed),
            ]
        if result.before is not None:
            facts.append((words("chance.before"), words(CLASSES[result.codes[result.before[at]]])))
        return Finding(words(VERDICTS[result.codes[result.classes[at]]]), tuple(facts))


def _shade(code: str):  # type: ignore[no-untyped-def]
    return CLUSTERS[code] if code in CLUSTERS else DIVERGING[code.replace("_", "")]


def _order(result: HotspotResult) -> np.ndarray:
    """Positions of the cells that have a class: the highest first, the lowest last."""
    none = result.codes.index("none")
    if result.codes == GI_CLASSES:
        order = np.lexsort((result.cells, -np.nan_to_num(result.z)))
    else:
        order = np.lexsort((result.cells, -np.abs(np.nan_to_num(result.z)), result.classes))
    return order[result.classes[order] != none]


def _chance(words: Words, value: float) -> str:
    if value < LEAST_SHOWN:
        return words("chance.less", value=short(LEAST_SHOWN))
    return number(value, 3)


METHOD = Chance()
