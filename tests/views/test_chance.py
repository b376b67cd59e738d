"""What "Where is it more than chance?" says of its result, in both languages."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest

from data.analyses.hotspots import (
    GI_CLASSES,
    MORAN_CLASSES,
    SURELY_HIGH,
    HotspotResult,
    HotspotSettings,
    hotspots,
)
from data.database import connection
from data.query import ReportQuery
from tests.views.sample_city import City
from views.method import Scene
from views.methods.chance import CLASSES, METHOD, VERDICTS
from views.words import LANGUAGES, Words


def answer(city: City, settings: HotspotSettings) -> HotspotResult:
    with connection() as conn:
        return hotspots(conn, ReportQuery(city.territory), settings)


def scene(words: Words, result: HotspotResult) -> Scene:
    return Scene(words, "town", 1, result.query, "ember", None, None, ())


def test_every_class_has_words() -> None:
    assert set(CLASSES) == set(VERDICTS) == {*GI_CLASSES, *MORAN_CLASSES}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", ["gi", "moran"])
@pytest.mark.parametrize("exposure", [None, "area"])
def test_map_table_and_card_tell_the_same(city: City, language: str, kind: str, exposure: str | None) -> None:
    words = Words(language)
    result = answer(city, HotspotSettings(resolution=8, k=1, method=kind, exposure=exposure))  # type: ignore[arg-type]
    layer = METHOD.layer(scene(words, result), result)
    assert {each.code: each.count for each in layer.legend} == result.class_counts()
    table = METHOD.table(words, result)
    found = [cast(str, table.column("class").values[at]) for at in table.order]
    assert found == [words(CLASSES[result.codes[result.classes[at]]]) for at in table.order]
    assert len(table.order) == len(result.cells) - result.class_counts()["none"]
    # The highest come first, whatever the method calls them.
    hot = int(result.hot.sum())
    assert {result.codes[c] for c in result.classes[table.order[:hot]]} <= set(SURELY_HIGH)
    for at in (0, len(result.cells) // 2):
        card = METHOD.finding(words, result, int(result.cells[at]))
        assert card is not None and len(card.facts) <= 6
        tested = np.isfinite(result.z[at])
        code = result.codes[result.classes[at]]
        assert card.verdict == words(VERDICTS[code] if tested else "chance.says_untested")
    assert METHOD.finding(words, result, 1) is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_answer_says_how_much_the_hot_ones_hold_or_that_there_is_none(city: City, language: str) -> None:
    words = Words(language)
    result = answer(city, HotspotSettings(resolution=8, k=1))
    share = 100 * result.counts[result.hot].sum() / result.counts.sum()
    said = METHOD.answer(words, result)
    if result.hot.any():
        assert words.plural("units.cells", int(result.hot.sum())) in said and f"{share:.1f}" in said
    else:
        assert said == words("chance.answer_none")


def test_the_second_of_two_maps_is_made_as_the_first(city: City) -> None:
    result = answer(city, HotspotSettings())
    assert METHOD.fixed(HotspotSettings(), result) == HotspotSettings(result.resolution, result.k)
