"""Saved plans: versions, statuses, and two people at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection

from data import campaigns, territories
from data.campaigns import PlanConflict
from geo.errors import InputError
from tests.data.plan_sample import small_plan


@pytest.fixture
def conn(module_store: Any) -> Iterator[Connection]:
    """A transaction in a store with two cities, undone after the test."""
    with module_store.engine.connect() as opened, opened.begin() as work:
        for code in ("east", "west"):
            territories.create(opened, code, "مدينة", "A city", "Asia/Riyadh", False)
        yield opened
        work.rollback()


def test_what_is_saved_comes_back_as_it_was(conn: Connection) -> None:
    plan = small_plan("east", 7)
    saved = campaigns.save(conn, plan, "  Summer\nround ", "first try")
    assert (saved.version, saved.latest, saved.status, saved.changed) == (1, 1, "proposed", True)
    assert saved.title == "Summer round"
    again = campaigns.get(conn, saved.id)
    assert again.plan == plan
    assert again.note == "first try"
    [row] = campaigns.listed(conn, saved.territory_id)
    assert (row.areas, row.days, row.data_version) == (2, 5, 7)
    assert row.finds == pytest.approx(plan.finds)
    assert campaigns.listed(conn, saved.territory_id, statuses=("done",)) == ()


def test_the_same_plan_solved_more_slowly_is_no_new_version(conn: Connection) -> None:
    saved = campaigns.save(conn, small_plan("east", seconds=0.1), "A")
    again = campaigns.save(conn, small_plan("east", seconds=9.9), "A", campaign_id=saved.id)
    assert (again.version, again.changed) == (1, False)
    assert len(campaigns.history(conn, saved.id).events) == 1


def test_a_changed_plan_is_a_version_and_the_old_one_stays(conn: Connection) -> None:
    saved = campaigns.save(conn, small_plan("east"), "A")
    campaigns.change_status(conn, saved.id, "approved", "by the director")
    changed = campaigns.save(
        conn, small_plan("east", teams=3), "B", "one team more", campaign_id=saved.id, expected=1
    )
    assert (changed.version, changed.title, changed.status) == (2, "B", "proposed")
    assert campaigns.get(conn, saved.id, 1).plan == small_plan("east")
    course = campaigns.history(conn, saved.id)
    assert [(event.status, event.version) for event in course.events] == [
        ("proposed", 1),
        ("approved", 1),
        ("proposed", 2),
    ]
    assert [version.version for version in course.versions] == [1, 2]
    assert course.events[0].at < course.events[2].at


def test_only_allowed_steps_are_taken(conn: Connection) -> None:
    saved = campaigns.save(conn, small_plan("east"), "A")
    with pytest.raises(InputError, match="what may follow is approved, withdrawn"):
        campaigns.change_status(conn, saved.id, "running")
    for status in ("approved", "running", "done"):
        assert campaigns.change_status(conn, saved.id, status).status == status
    with pytest.raises(InputError, match="this is its end"):
        campaigns.change_status(conn, saved.id, "withdrawn")
    with pytest.raises(InputError, match="its plan stays as it is"):
        campaigns.save(conn, small_plan("east", teams=4), "A", campaign_id=saved.id)
    with pytest.raises(InputError, match="no status"):
        campaigns.change_status(conn, saved.id, "deleted")


def test_who_decided_on_what_is_gone_by_now_is_told(conn: Connection) -> None:
    saved = campaigns.save(conn, small_plan("east"), "A")
    campaigns.save(conn, small_plan("east", teams=3), "A", campaign_id=saved.id, expected=1)
    with pytest.raises(PlanConflict, match="version 2 by now"):
        campaigns.save(conn, small_plan("east", teams=4), "A", campaign_id=saved.id, expected=1)
    with pytest.raises(PlanConflict, match="in version 2 by now"):
        campaigns.change_status(conn, saved.id, "approved", version=1, status="proposed")
    campaigns.change_status(conn, saved.id, "withdrawn", version=2)
    with pytest.raises(PlanConflict, match="is withdrawn"):
        campaigns.change_status(conn, saved.id, "approved", version=2, status="proposed")


def test_what_cannot_be_kept_is_refused(conn: Connection) -> None:
    plan = small_plan("east")
    broken = dataclasses.replace(plan.areas[0], hours=float("nan"))
    for wrong, title, words in (
        (plan, " ", "needs a title"),
        (small_plan("nowhere"), "A", "not in this store"),
        (dataclasses.replace(plan, areas=(broken,)), "A", "no campaign plan"),
    ):
        with pytest.raises(InputError, match=words):
            campaigns.save(conn, wrong, title)
    saved = campaigns.save(conn, plan, "A")
    with pytest.raises(InputError, match="another territory or kind"):
        campaigns.save(conn, small_plan("west"), "A", campaign_id=saved.id)
    with pytest.raises(InputError, match="there is no version 9"):
        campaigns.get(conn, saved.id, 9)
    with pytest.raises(InputError, match="no saved campaign 0"):
        campaigns.get(conn, 0)
