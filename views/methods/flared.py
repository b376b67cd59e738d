"""What flared up? Kulldorff's space-time scan: numbered places, how sure, and since when."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import streamlit as st
from sqlalchemy import Connection

from data.analyses.flares import Flare, Flares, ScanSettings
from data.analyses.scans import scan
from data.query import ReportQuery
from geo.cells import resolutions
from layers.cellmap import CellLayer, Outline, Reading, classed
from layers.palettes import sequential
from views import controls
from views.method import Column, Finding, History, Method, Scene, Table, Tick, place
from views.words import Words, number, short

RADII = (500, 1000, 2000, 5000)
DAYS = (7, 14, 28)
WINDOWS = (60, 90, 180, 365)
SURE, CLEAR = 0.001, 0.01  # p up to which a flare-up is of the first, the second class
YEAR = 365.25


class FlaredMethod(Method[ScanSettings, Flares]):
    code = "flared"
    slow = True

    def settings(self, scene: Scene) -> ScanSettings:
        words, usual = scene.words, ScanSettings()
        radius = controls.choice(
            "flared_radius",
            words("flared.radius"),
            {metres: words("flared.radius_m", metres=number(metres)) for metres in RADII},
            int(usual.max_radius_m),
            words("flared.radius_help"),
        )
        days = controls.choice(
            "flared_days",
            words("flared.days"),
            {n: words.plural("flared.days_n", n) for n in DAYS},
            usual.max_days,
            words("flared.days_help"),
        )
        window = controls.choice(
            "flared_window",
            words("flared.window"),
            {n: words.plural("flared.window_n", n) for n in WINDOWS},
            usual.window_days,
            words("flared.window_help"),
        )
        size = controls.resolution(scene)
        by_kind = controls.switch(
            "flared_kind", words("flared.kind"), words("flared.kind_help"), default=usual.by_kind
        )
        return ScanSettings(
            max_radius_m=float(radius), max_days=days, window_days=window, resolution=size, by_kind=by_kind
        )

    def compute(
        self, conn: Connection, query: ReportQuery, settings: ScanSettings, tick: Tick | None
    ) -> Flares:
        return scan(conn, query, settings, tick=tick)

    def answer(self, words: Words, result: Flares) -> str:
        if result.first is None or result.last is None:
            return ""
        if not result.significant:
            days = (result.last - result.first).days + 1
            return words(
                "flared.none",
                last=words.date(result.last, hijri=False),
                reports=_counted(words, result, result.cases),
                days=words.plural("flared.n_days", days),
            )
        top = result.significant[0]
        told = words(
            "flared.top",
            reports=_counted(words, result, top.observed),
            first=words.date(top.first, hijri=False),
            expected=short(top.expected),
        )
        return f"{words.plural('flared.count', len(result.significant))} {told}"

    def layer(self, scene: Scene, result: Flares, other: Flares | None = None) -> CellLayer | None:
        if not result.significant:
            return None
        words = scene.words
        level = result.settings.level
        shades = sequential(3, scene.palette)
        limits = (SURE, CLEAR, level)
        labels = (words("flared.sure"), words("flared.clear"), words("flared.likely", level=short(level)))
        p = {flare.number: flare.p for flare in result.flares}
        chance = np.array([p[n] for n in result.numbers.tolist()], dtype=np.float64)
        shown = chance <= level
        return classed(
            words("flared.legend"),
            result.resolution,
            result.cells[shown],
            np.searchsorted(limits, chance[shown]),
            list(zip(("sure", "clear", "likely"), labels, reversed(shades), strict=True)),
            [
                Reading(words("flared.in_flare"), result.reports[shown].astype(np.float64), 0),
                Reading(words("flared.number"), result.numbers[shown].astype(np.float64), 0),
            ],
        )

    def outlines(self, words: Words, result: Flares) -> Sequence[Outline]:
        return [
            Outline(
                flare.number,
                words(
                    "flared.label",
                    number=flare.number,
                    reports=_counted(words, result, flare.observed),
                    ratio=short(flare.ratio),
                    first=words.date(flare.first, hijri=False),
                ),
                flare.disk,
            )
            for flare in result.significant
        ]

    def table(self, words: Words, result: Flares) -> Table | None:
        flares = result.significant
        if not flares:
            return None
        return Table(
            np.array([flare.centre for flare in flares]),
            np.arange(len(flares)),
            (
                Column("number", words("flared.number"), np.array([f.number for f in flares])),
                Column("reports", words("flared.in_flare"), np.array([f.observed for f in flares])),
                Column(
                    "expected",
                    words("flared.expected"),
                    np.array([f.expected for f in flares]),
                    1,
                    words("flared.expected_help"),
                ),
                Column("ratio", words("flared.ratio"), np.array([f.ratio for f in flares]), 1),
                Column("first_day", words("flared.since"), [f.first.isoformat() for f in flares], None),
                Column("days", words("flared.days_long"), np.array([f.days for f in flares])),
                Column("radius_m", words("flared.radius_col"), np.array([f.radius_m for f in flares])),
                Column("kind", words("flared.mostly"), [_mostly(words, f) for f in flares], None),
                Column(
                    "p",
                    words("flared.chance"),
                    np.array([f.p for f in flares]),
                    3,
                    words("flared.chance_help"),
                ),
            ),
            "reports",
            words("flared.list"),
            numbers=np.array([flare.number for flare in flares]),
        )

    def finding(self, words: Words, result: Flares, cell: int) -> Finding | None:
        at = place(result.cells, cell)
        flare = None if at is None else result.flares[int(result.numbers[at]) - 1]
        if at is None or flare is None or not flare.significant:
            same_size = int(resolutions([cell])[0]) == result.resolution
            return Finding(words("flared.outside")) if same_size else None
        verdict = words(
            "flared.verdict_cell",
            number=flare.number,
            reports=number(float(result.reports[at])),
            all=number(flare.observed),
        )
        return Finding(verdict, _facts(words, flare))

    def outlined(self, words: Words, result: Flares, number: int) -> Finding | None:
        flare = next((f for f in result.significant if f.number == number), None)
        if flare is None or result.first is None:
            return None
        days = np.arange(len(flare.daily)) + np.datetime64(result.first, "D")
        begins = len(days) - flare.days
        return Finding(
            _verdict(words, result, flare),
            _facts(words, flare),
            History(
                "day",
                tuple(days.tolist()),
                tuple(float(n) for n in flare.daily),
                tuple("hot" if i >= begins else "" for i in range(len(days))),
                words("flared.history"),
            ),
            words("flared.title", number=flare.number),
            flare.cells,
            flare.first,
            flare.last,
        )

    def more(self, scene: Scene, result: Flares, settings: ScanSettings) -> None:
        words = scene.words
        st.caption(words("flared.caveat"))
        st.caption(
            words("flared.method", permutations=number(settings.permutations), seed=str(settings.seed))
        )


def _counted(words: Words, result: Flares, n: int) -> str:
    return words.plural("units.incidents" if result.query.incidents else "units.reports", n)


def _verdict(words: Words, result: Flares, flare: Flare) -> str:
    return words(
        "flared.verdict",
        reports=_counted(words, result, flare.observed),
        first=words.date(flare.first, hijri=False),
        last=words.date(flare.last, hijri=False),
        radius=number(round(flare.radius_m, -1)),
        expected=short(flare.expected),
        mostly=_mostly(words, flare),
    )


def _facts(words: Words, flare: Flare) -> tuple[tuple[str, str], ...]:
    return (
        (words("flared.in_flare"), number(flare.observed)),
        (words("flared.expected"), short(flare.expected)),
        (words("flared.ratio"), short(flare.ratio)),
        (words("flared.days_long"), number(flare.days)),
        (words("flared.chance"), short(flare.p)),
        (words("flared.rarity"), _rarity(words, flare.recurrence_days)),
    )


def _mostly(words: Words, flare: Flare) -> str:
    name = words.pick(flare.kind_ar, flare.kind_en)
    return f"{name} ({number(flare.kind_count)})"


def _rarity(words: Words, days: float) -> str:
    if days < YEAR:
        return words.plural("flared.every_days", math.floor(days))
    if days < 100 * YEAR:
        return words.plural("flared.every_years", math.floor(days / YEAR))
    return words("flared.never")


METHOD = FlaredMethod()
