"""The Routing page: every part in both languages, who may change rules, hostile names, downloads."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from sqlalchemy import text
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from data import parties, routing
from data.query import ReportQuery
from data.routing import RuleDraft
from tests.data.reports_sample import Sample, make_sample
from tests.views.opened import APP, forget, person, shown
from views import access
from views.routes import answers, bodies, rulebook, wrong
from views.words import Words

HOSTILE = '<img src=x onerror="window.hit=1">'


@pytest.fixture(scope="module")
def sample(module_store: Any) -> Sample:
    with module_store.engine.begin() as conn:
        made = make_sample(conn, rows=300)
        routing.load_defaults(conn, made.territory, since=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        odd = parties.save(conn, made.territory, "odd", "entity", HOSTILE, HOSTILE)
        routing.add(conn, made.territory, RuleDraft("odd", "R09", note=HOSTILE))
        conn.execute(
            text("UPDATE report SET agency_id = :odd WHERE territory_id = :territory AND id % 3 = 0"),
            {"odd": odd.id, "territory": made.territory},
        )
    return made


def open_routing(**values: str) -> AppTest:
    forget()
    page = AppTest.from_file(APP, default_timeout=120)
    for key, value in values.items():
        page.query_params[key] = value
    page._page_hash = calc_hash("routing")
    return page.run()


@pytest.mark.parametrize("part", ["rules", "queue", "misrouting", "owners"])
def test_every_part_is_drawn_in_both_languages_and_escapes_names(sample: Sample, part: str) -> None:
    for language in ("ar", "en"):
        words = Words(language)
        told = shown(open_routing(lang=language, part=part, territory="east"))
        assert words("routing.page") in told and HOSTILE not in told
        wanted = {
            "rules": words("rule.order"),
            "queue": words("queuereason.outside"),
            "misrouting": words("misrouted.by_element"),
            "owners": words("owner.about"),
        }
        assert wanted[part] in told


def test_a_supervisor_sees_what_would_change_and_saves_it(module_store: Any, sample: Sample) -> None:
    words = Words("en")
    reader = open_routing(lang="en", territory="east")
    assert words("rule.readers") in shown(reader) and not [b for b in reader.button if b.key == "rule_save"]
    page = open_routing(lang="en", territory="east", **{"as": "demo-supervisor"})
    save = page.button(key="rule_save")
    assert save.disabled
    page.selectbox(key="rule_party").select("water").run()
    page.selectbox(key="rule_what").select("e:R07").run()
    assert words("rule.moves_nothing") in shown(page)
    page.button(key="rule_save").click().run()
    with module_store.engine.connect() as conn:
        new = routing.listed(conn, sample.territory)
        made = next(rule for rule in new if rule.party == "water")
        said = conn.scalar(text("SELECT principal_id FROM routing_rule WHERE id = :id"), {"id": made.id})
    assert made.element == "R07" and said is not None
    assert words("rule.saved", n=str(made.id)) in shown(page)
    page.selectbox(key="rule_end").select(made.id).run()
    page.button(key="rule_end_now").click().run()
    assert words("rule.ended", n=str(made.id)) in shown(page)


def test_downloads_are_the_users_own_and_leave_a_trail(module_store: Any, sample: Sample) -> None:
    with module_store.engine.connect() as conn:
        rules = routing.listed(conn, sample.territory, ended=True)
    query = ReportQuery(sample.territory, default_points=True)
    with access.held(person()):
        package = json.loads(bodies.make(sample.territory, "odd", "geojson"))
        stamp = rulebook.stamp(rules, dt.datetime.now(dt.UTC))
        found = answers.misrouted(0, stamp, query)
        sheet = wrong.make(found, query, "csv").decode("utf-8-sig")
    assert package["entity_en"] == HOSTILE and package["features"]
    assert (
        sheet.splitlines()[0].startswith("municipality_ar,")
        and len(sheet.splitlines()) == len(found.lines) + 1
    )
    with module_store.engine.connect() as conn:
        trail = set(conn.execute(text("SELECT object FROM audit WHERE action = 'export'")).scalars())
    assert trail >= {"handover", "misrouted"}
