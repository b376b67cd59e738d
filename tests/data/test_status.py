"""What the store says of itself."""

from __future__ import annotations

import json
from typing import Any

from data import schema
from data.status import store_status
from data.vocabulary import Status
from tests.data.reports_sample import make_sample


def test_an_empty_store_says_so(store: Any) -> None:
    with store.engine.begin() as conn:
        found = store_status(conn)
    assert found.schema_version == schema.head()
    assert found.postgresql.startswith("PostgreSQL 1")
    assert found.postgis[0] in "3456789"
    assert (found.territories, found.batches, found.reports) == ((), (), 0)
    assert found.areas_by_level == dict.fromkeys(
        ("region", "amana", "governorate", "municipality", "district"), 0
    )


def test_counts_are_those_of_the_reports(store: Any) -> None:
    with store.engine.begin() as conn:
        sample = make_sample(conn, rows=300)
        found = store_status(conn)
    east, west = found.territories
    assert (east.code, west.code) == ("east", "west")
    expected = sample.frame["status"].map(lambda s: Status(s).name.lower()).value_counts().to_dict()
    assert east.reports_by_status == expected
    assert (east.reports, west.reports, found.reports) == (300, 50, 350)
    assert found.reports_by_status["received"] == expected["received"] + 50
    assert east.default_point_reports == sample.frame["default_point"].sum() > 0
    assert east.newest_report == sample.frame["opened_at"].max()
    assert (east.simulated, west.simulated) == (True, False)
    # Areas of the past are not counted.
    assert (east.areas["municipality"], east.areas["district"], west.areas["district"]) == (3, 6, 0)
    assert found.areas_by_level["municipality"] == 3


def test_the_last_batches_are_listed_newest_first(store: Any) -> None:
    with store.engine.begin() as conn:
        sample = make_sample(conn, rows=60)
        found = store_status(conn)
    assert [batch.id for batch in found.batches] == [sample.batch]
    assert (found.batches[0].territory, found.batches[0].source) == ("east", "portal")


def test_the_dictionary_is_plain_json(store: Any) -> None:
    with store.engine.begin() as conn:
        make_sample(conn, rows=60)
        said = store_status(conn).to_dict()
    again = json.loads(json.dumps(said))
    assert again == said
    assert again["batches"][0]["started_at"].startswith("2025-07-01T")
