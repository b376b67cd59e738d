"""Filing a report, its photos, its duplicates and its followers, as signed-in people."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from data import duplicates, filing, following, photos
from data.access import Place, Session, acting
from data.actions import act, last_seq, steps
from data.filing import Filing, file_report
from data.life import Action, Role
from data.models import Area, AreaSet, Territory
from data.settings import settings as rasd_settings
from data.vocabulary import LEVELS, Channel, Flag, Precision, Status
from geo.errors import Conflict, InputError, Refused
from geo.locate import AreaIndex
from tests.data.people import add_party, sign_in
from tests.data.photo_sample import encoded, picture

GEOD = Geod(ellps="WGS84")
WEST, EAST = (50.00, 26.00), (50.20, 26.00)  # lower left corners of squares of 0.2 degrees
AREAS = {
    "west": ("municipality", (50.00, 26.00, 50.20, 26.20)),
    "east": ("municipality", (50.20, 26.00, 50.40, 26.20)),
    "wide": ("district", (50.00, 26.00, 50.30, 26.20)),
    "small": ("district", (50.10, 26.05, 50.15, 26.10)),
}


@dataclass
class Town:
    """A territory of two municipalities, and who works there."""

    engine: Any
    territory: int
    areas: dict[str, int]
    elements: dict[str, int]
    inspector: Session  # of the western municipality only
    clerk: Session  # call centre, everywhere
    supervisor: Session
    viewer: Session

    def filing(self, key: str, lon: float = 50.05, lat: float = 26.05, **more: Any) -> Filing:
        return Filing(self.territory, lon, lat, key, **{"element_id": self.elements["R04"]} | more)


def _box(west: float, south: float, east: float, north: float) -> str:
    ring = f"{west} {south},{east} {south},{east} {north},{west} {north},{west} {south}"
    return f"SRID=4326;MULTIPOLYGON((({ring})))"


@pytest.fixture(scope="module")
def town(module_store: Any) -> Iterator[Town]:
    with module_store.engine.begin() as conn:
        from sqlalchemy import insert

        territory = conn.execute(
            insert(Territory)
            .values(code="town", name_ar="بلدة", name_en="Town", study_area=_box(50.0, 26.0, 50.4, 26.2))
            .returning(Territory.id)
        ).scalar_one()
        areas = {}
        for name, (level, box) in AREAS.items():
            made = conn.execute(
                insert(AreaSet)
                .values(territory_id=territory, level=level, file_name="x", file_digest="x", read=1,
                        accepted=1, repaired=0, overlap_km2=0, gap_km2=0)
                .returning(AreaSet.id)
            ).scalar_one()  # fmt: skip
            areas[name] = conn.execute(
                insert(Area)
                .values(area_set_id=made, territory_id=territory, level=level, name_ar=name, name_en=name,
                        code=name, area_km2=1, geom=_box(*box))
                .returning(Area.id)
            ).scalar_one()  # fmt: skip
        elements = {row.code: row.id for row in conn.execute(text("SELECT code, id FROM element"))}
        whole = Place("town")
        people = {
            "inspector": sign_in(conn, Role.INSPECTOR, Place("town", "municipality", "west")),
            "clerk": sign_in(conn, Role.CALL_CENTRE, whole),
            "supervisor": sign_in(conn, Role.SUPERVISOR, whole),
            "viewer": sign_in(conn, Role.VIEWER, whole),
        }
    yield Town(module_store.engine, territory, areas, elements, **people)


@pytest.fixture
def as_user(town: Town) -> Iterator[Callable[[Session], Connection]]:
    """Transactions that are undone at the end of the test."""
    import contextlib

    with contextlib.ExitStack() as stack:

        def begin(session: Session) -> Connection:
            conn = stack.enter_context(acting(session))
            stack.callback(conn.rollback)
            return conn

        yield begin


def _row(conn: Connection, report: int) -> Any:
    names = ("reference", "status", "flags", "channel", "precision", "cell", "unit", "duplicate_of", "due_at")
    areas = ", ".join(f"{level}_id" for level in LEVELS)
    return conn.execute(
        text(f"SELECT {', '.join(names)}, {areas} FROM report WHERE id = :id"), {"id": report}
    ).one()


# -- filing ---------------------------------------------------------------------------


def test_a_report_that_is_filed_has_number_place_channel_and_first_event(town: Town, as_user: Any) -> None:
    conn = as_user(town.inspector)
    done = file_report(conn, town.filing("a", 50.12, 26.07, severity=4, quantity=2.5, note=" <b>deep</b> "))
    row = _row(conn, done.report_id)
    assert done.reference == row.reference and done.reference.startswith("R-20")
    assert (row.status, row.flags, row.precision) == (Status.RECEIVED, 0, Precision.POINT)
    assert (row.channel, row.unit) == (Channel.INSPECTOR, "m2")
    # Of two districts that overlap, the smaller one has it.
    assert (row.municipality_id, row.district_id) == (town.areas["west"], town.areas["small"])
    first = steps(conn, done.report_id)[1]
    assert (first.action, first.actor_id) == (Action.FILE, town.inspector.principal.id)
    assert {k: first.detail[k] for k in ("severity", "quantity", "note")} == {
        "severity": 4,
        "quantity": 2.5,
        "note": "<b>deep</b>",
    }


def test_numbers_follow_each_other_and_one_that_is_undone_leaves_no_gap(town: Town, as_user: Any) -> None:
    conn = as_user(town.clerk)
    numbers = []
    for key in "abc":
        nested = conn.begin_nested()
        numbers.append(int(file_report(conn, town.filing(key)).reference[-6:]))
        if key == "b":
            nested.rollback()
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 1]


def test_a_double_click_is_one_report_also_when_both_come_at_once(town: Town) -> None:
    with acting(town.clerk) as conn:
        first = file_report(conn, town.filing("twice"))
        assert file_report(conn, town.filing("twice", lon=50.3)) == replace(first, again=True)
    done: list[filing.Filed] = []

    def click() -> None:
        with acting(town.clerk) as conn:
            done.append(file_report(conn, town.filing("at once")))

    clicks = [threading.Thread(target=click) for _ in range(3)]
    for each in clicks:
        each.start()
    for each in clicks:
        each.join()
    assert len({one.report_id for one in done}) == 1 and sum(not one.again for one in done) == 1
    with acting(town.supervisor) as conn:  # the same key of somebody else is another report
        assert not file_report(conn, town.filing("twice")).again


def test_areas_are_those_of_the_ingest_everywhere(town: Town, as_user: Any) -> None:
    conn = as_user(town.clerk)
    rng = np.random.default_rng(3)
    lon, lat = rng.uniform(50.0, 50.4, 12).round(3), rng.uniform(26.0, 26.2, 12).round(3)
    lon[:3], lat[:3] = (50.2, 50.1, 50.3), (26.1, 26.05, 26.1)  # on borders
    for level in ("municipality", "district"):
        rows = [(town.areas[name], box) for name, (of, box) in AREAS.items() if of == level]
        import shapely

        index = AreaIndex([id_ for id_, _ in rows], [shapely.box(*box) for _, box in rows])
        expected = index.locate(lon, lat)
        for k, (x, y, area) in enumerate(zip(lon, lat, expected, strict=True)):
            report = file_report(conn, town.filing(f"{level}{k}", float(x), float(y))).report_id
            assert (getattr(_row(conn, report), f"{level}_id") or 0) == area
            known = filing.spot(conn, town.territory, float(x), float(y)).area(level)
            assert (known.id if known else 0) == area


def test_just_outside_is_flagged_and_waits_without_an_area_and_far_outside_is_refused(
    town: Town, as_user: Any
) -> None:
    conn = as_user(town.clerk)
    near = filing.spot(conn, town.territory, 50.1, 25.99)
    assert not near.inside and near.near and near.open and near.metres == pytest.approx(1108, abs=5)
    row = _row(conn, file_report(conn, town.filing("near", 50.1, 25.99)).report_id)
    assert row.flags == Flag.NEAR_BOUNDARY and row.municipality_id is None
    assert not filing.spot(conn, town.territory, 50.1, 25.9).near
    with pytest.raises(InputError, match="2 km outside"):
        file_report(conn, town.filing("far", 50.1, 25.9))
    file_report(conn, town.filing("after"))  # the transaction goes on


def test_nobody_files_outside_their_areas_or_without_the_role(town: Town, as_user: Any) -> None:
    conn = as_user(town.inspector)
    assert filing.spot(conn, town.territory, 50.05, 26.05).open
    assert not filing.spot(conn, town.territory, 50.3, 26.05).open
    with pytest.raises(Refused, match="not within your areas"):
        file_report(conn, town.filing("east", 50.3, 26.05))
    with pytest.raises(Refused):
        file_report(as_user(town.viewer), town.filing("viewer"))


def test_all_faults_of_a_filing_are_told_at_once(town: Town, as_user: Any) -> None:
    conn = as_user(town.clerk)
    bad = town.filing(
        "", 500.0, 95.0, severity=6, quantity=-1.0, note="x" * 4001, element_id=30_000, contact_name="n" * 200
    )
    with pytest.raises(InputError) as refused:
        file_report(conn, bad)
    said = str(refused.value)
    for part in (
        "no place on Earth",
        "key",
        "severity 6",
        "quantity",
        "4,000",
        "element 30000",
        "name or phone",
    ):
        assert part in said


def test_who_reported_is_kept_only_where_the_setting_says_so(
    town: Town, as_user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn = as_user(town.clerk)
    more = {"contact_name": " Somebody ", "contact_phone": "0500000000"}
    file_report(conn, town.filing("off", **more))
    assert conn.scalar(text("SELECT count(*) FROM report_contact")) == 0
    monkeypatch.setattr(rasd_settings(), "keep_contacts", True)
    done = file_report(conn, town.filing("on", **more))
    row = conn.execute(text("SELECT report_id, name, phone FROM report_contact")).one()
    assert tuple(row) == (done.report_id, "Somebody", "0500000000")


# -- photos of a report ---------------------------------------------------------------


def test_photos_are_stored_with_the_report_and_seen_only_by_whom_it_is_open_to(town: Town) -> None:
    photo = photos.prepare(encoded(picture(seed=1)))
    with acting(town.supervisor) as conn:
        west = file_report(conn, town.filing("p1", photos=(photo, photo)))
        east = file_report(conn, town.filing("p2", 50.3, 26.1, photos=(photo,)))
        assert steps(conn, west.report_id)[1].detail["photos"] == [photo.digest]
    with acting(town.inspector) as conn:
        (row,) = photos.photos_of(conn, west.report_id)
        assert (row.width, row.height, row.bytes) == (400, 300, len(photo.content))
        assert photos.read(conn, west.report_id, photo.digest) == photo.content
        assert photos.read(conn, west.report_id, photo.digest, small=True) == photo.small
        assert photos.photos_of(conn, east.report_id) == ()
        for report, digest in (
            (east.report_id, photo.digest),
            (west.report_id, "ab" * 32),
            (west.report_id, "../x"),
        ):
            with pytest.raises(Refused):
                photos.read(conn, report, digest)
    assert photos.path(photo.digest).stat().st_mode & 0o077 == 0


def test_a_damaged_file_is_not_given_out_and_a_file_without_a_row_is_swept(town: Town) -> None:
    kept, orphan = (photos.prepare(encoded(picture(seed=s))) for s in (2, 3))
    with acting(town.supervisor) as conn:
        done = file_report(conn, town.filing("p3", photos=(kept,)))
    with pytest.raises(InputError), acting(town.supervisor) as conn:
        photos.store(conn, done.report_id, orphan)
        raise InputError("undone")
    with town.engine.begin() as conn:
        assert photos.sweep(conn) == 0  # too young: its transaction may still be at work
        assert photos.sweep(conn, hours=-1) == 2
        held = photos.holdings(conn)
    assert not photos.path(orphan.digest).exists()
    assert held.photos >= 1 and held.bytes > 0 and held.missing == ()
    photos.path(kept.digest).write_bytes(orphan.content)
    with acting(town.supervisor) as conn, pytest.raises(photos.StoreError, match="damaged"):
        photos.read(conn, done.report_id, kept.digest)


def test_the_limit_of_a_day_holds_over_all_reports(
    town: Town, as_user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn = as_user(town.inspector)
    monkeypatch.setattr(rasd_settings(), "photos_a_day", 2)
    three = [photos.prepare(encoded(picture(seed=s))) for s in (4, 5, 6)]
    file_report(conn, town.filing("d1", photos=tuple(three[:2])))
    with pytest.raises(photos.PhotoRefused) as refused:
        file_report(conn, town.filing("d2", photos=(three[2],)))
    assert refused.value.code == "too_many"


# -- duplicates -----------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(st.floats(-179, 179), st.floats(-80, 80), st.floats(5, 3000), st.integers(0, 2**32 - 1))
def test_the_ranges_hold_every_cell_of_the_disc(lon: float, lat: float, metres: float, seed: int) -> None:
    from geo.cells import cells_of

    rng = np.random.default_rng(seed)
    n = 60
    x, y, _ = GEOD.fwd(
        np.full(n, lon),
        np.full(n, lat),
        rng.uniform(0, 360, n),
        metres * np.append(np.ones(n // 2), rng.random(n // 2)),
    )
    cells = cells_of(x, y)
    spans = duplicates.ranges(lon, lat, metres)
    assert all(any(low <= cell <= high for low, high in spans) for cell in cells)
    assert len(spans) <= 60


def test_open_reports_of_the_element_are_found_with_their_distance(town: Town, as_user: Any) -> None:
    conn = as_user(town.clerk)
    metres = {"m30": 30.0, "m33": 33.0, "m120": 120.0, "m249": 249.0, "m260": 260.0}
    at = {k: GEOD.fwd(50.25, 26.15, 70.0, m)[:2] for k, m in metres.items()}
    made = {k: file_report(conn, town.filing(k, *at[k])).report_id for k in metres}
    file_report(conn, town.filing("other", *at["m30"], element_id=town.elements["R02"]))
    closed = file_report(conn, town.filing("closed", *at["m30"])).report_id
    act(conn, closed, Action.REJECT, 1, {"reason": "nothing there"})
    found = duplicates.near(conn, town.territory, town.elements["R04"], 50.25, 26.15)
    # Equally near within 10 m: the newer one first.
    assert [c.report_id for c in found] == [made[k] for k in ("m33", "m30", "m120", "m249")]
    assert [c.metres for c in found] == pytest.approx([33, 30, 120, 249], abs=0.01)
    assert [c.suggested for c in found] == [True, True, False, False]
    beside = duplicates.near_report(conn, made["m30"])
    assert made["m30"] not in [c.report_id for c in beside] and beside[0].metres == pytest.approx(3, abs=0.01)
    assert duplicates.near(conn, town.territory, None, 50.25, 26.15) == ()


def test_nobody_learns_of_a_duplicate_outside_their_areas(town: Town, as_user: Any) -> None:
    clerk = as_user(town.clerk)
    file_report(clerk, town.filing("border", 50.2001, 26.15))
    clerk.commit()
    with acting(town.inspector) as conn:
        assert duplicates.near(conn, town.territory, town.elements["R04"], 50.1999, 26.15) == ()


def _chain(conn: Connection, town: Town, keys: str) -> list[int]:
    return [file_report(conn, town.filing(f"chain {key}")).report_id for key in keys]


def test_a_duplicate_is_linked_both_ways_its_followers_move_and_reopening_undoes_it(
    town: Town, as_user: Any
) -> None:
    conn, other = as_user(town.clerk), town.supervisor
    a, b = _chain(conn, town, "ab")
    following.follow(conn, a)
    following.follow(conn, b)
    _be(conn, other)
    following.follow(conn, a)
    before = _followers(conn)
    duplicates.mark(conn, a, b, 1, note="the same hole")
    assert duplicates.links(conn, a).of == (b, _row(conn, b).reference)
    assert [d for d, _ in duplicates.links(conn, b).duplicates] == [a]
    assert following.follows(conn, b) == (2, True)
    assert following.follow(conn, a) == b  # a duplicate is followed where it leads
    act(conn, a, Action.REOPEN, 2, {"reason": "two holes"})
    assert duplicates.links(conn, a) == duplicates.Links(None, ())
    assert _followers(conn) == before


def test_a_chain_points_to_its_root_a_circle_is_refused_and_the_middle_takes_its_own_back(
    town: Town, as_user: Any
) -> None:
    conn = as_user(town.clerk)
    a, b, c = _chain(conn, town, "xyz")
    following.follow(conn, a)
    before = _followers(conn)
    duplicates.mark(conn, a, b, 1)
    with pytest.raises(InputError, match="repeats it"):
        duplicates.mark(conn, b, a, 1)
    with pytest.raises(InputError, match="itself"):
        duplicates.mark(conn, b, b, 1)
    with pytest.raises(InputError, match="duplicate itself"):  # also without the module
        act(conn, c, Action.DUPLICATE, 1, {"of": a})
    duplicates.mark(conn, b, c, 1)
    assert [_row(conn, r).duplicate_of for r in (a, b, c)] == [c, c, None]
    act(conn, b, Action.REOPEN, 2, {"reason": "another"})
    assert [_row(conn, r).duplicate_of for r in (a, b, c)] == [b, None, None]
    assert _followers(conn) == {(b, town.clerk.principal.id)}
    act(conn, a, Action.REOPEN, 2, {"reason": "another"})
    assert _followers(conn) == before and _row(conn, a).duplicate_of is None


def test_whatever_is_linked_and_reopened_there_is_no_chain_and_no_follower_is_lost(
    town: Town, as_user: Any
) -> None:
    conn = as_user(town.clerk)
    rng = np.random.default_rng(11)
    reports = _chain(conn, town, "123456")
    for report in reports[:3]:
        following.follow(conn, report)
    before = _followers(conn)
    for _ in range(40):
        one, other = (int(r) for r in rng.choice(reports, 2, replace=False))
        if _row(conn, one).status == Status.DUPLICATE:
            act(conn, one, Action.REOPEN, last_seq(conn, one), {"reason": "no"})
        elif duplicates.root_of(conn, other) != one:
            duplicates.mark(conn, one, other, last_seq(conn, one))
        roots = {report: _row(conn, report).duplicate_of for report in reports}
        assert all(root is None or roots[root] is None for root in roots.values())
        assert all(
            (root is not None) == (_row(conn, r).status == Status.DUPLICATE) for r, root in roots.items()
        )
        followed = {report for report, _ in _followers(conn)}
        assert {roots[r] or r for r in reports[:3]} <= followed
    while linked := [r for r in reports if _row(conn, r).duplicate_of is not None]:
        act(conn, linked[0], Action.REOPEN, last_seq(conn, linked[0]), {"reason": "no"})
    assert _followers(conn) == before


def test_two_people_cannot_call_two_reports_duplicates_of_each_other_at_once(town: Town) -> None:
    with acting(town.clerk) as conn:
        a, b = _chain(conn, town, "pq")
    outcome: list[str] = []
    ready = threading.Barrier(2)

    def call(session: Session, report: int, of: int) -> None:
        ready.wait()
        try:
            with acting(session) as conn:
                act(conn, report, Action.DUPLICATE, 1, {"of": of})
            outcome.append("done")
        except (InputError, Refused, Conflict):
            outcome.append("refused")

    people = ((town.clerk, a, b), (town.supervisor, b, a))
    calls = [threading.Thread(target=call, args=each) for each in people]
    for each in calls:
        each.start()
    for each in calls:
        each.join(timeout=30)
    assert sorted(outcome) == ["done", "refused"]


def _be(conn: Connection, session: Session) -> None:
    from data.access import assume

    conn.execute(text("RESET ROLE"))
    assume(conn, session)


def _followers(conn: Connection) -> set[tuple[int, int]]:
    return {tuple(row) for row in conn.execute(text("SELECT report_id, principal_id FROM report_follower"))}


# -- the user's own list --------------------------------------------------------------


def test_the_own_list_tells_what_was_filed_and_what_became_of_it(town: Town, as_user: Any) -> None:
    conn = as_user(town.inspector)
    first, second = (file_report(conn, town.filing(key)) for key in ("own 1", "own 2"))
    duplicates.mark(conn, first.report_id, second.report_id, last_seq(conn, first.report_id))
    newest, older = following.filed(conn)[:2]
    assert (newest.reference, newest.status) == (second.reference, Status.RECEIVED)
    assert (older.reference, older.status, older.duplicate_of) == (
        first.reference,
        Status.DUPLICATE,
        second.reference,
    )
    assert (newest.element_en, newest.municipality_en) == ("Street excavations & potholes", "west")
    following.follow(conn, first.report_id)
    assert [row.reference for row in following.followed(conn)] == [second.reference]
    following.unfollow(conn, second.report_id)
    assert following.followed(conn) == ()
    found = following.find(conn, town.territory, first.reference)
    assert found is not None and found.report_id == first.report_id
    assert following.find(conn, town.territory, "R-1999-000001") is None


def test_a_rule_decides_who_gets_it_and_until_when(town: Town, as_user: Any) -> None:
    with town.engine.begin() as conn:
        party = add_party(conn, town.territory, "roads", "department")
        rule = conn.execute(
            text(
                """INSERT INTO routing_rule (territory_id, element_id, party_id, due_hours)
                   VALUES (:territory, :element, :party, 48) RETURNING id"""
            ),
            {"territory": town.territory, "element": town.elements["R02"], "party": party},
        ).scalar_one()
    conn = as_user(town.clerk)
    done = file_report(conn, town.filing("ruled", element_id=town.elements["R02"]))
    row = conn.execute(
        text("SELECT agency_id, rule_id, due_at - opened_at AS limit FROM report WHERE id = :id"),
        {"id": done.report_id},
    ).one()
    assert (row.agency_id, row.rule_id) == (party, rule)
    assert row.limit.total_seconds() == pytest.approx(48 * 3600, abs=5)


def test_the_database_refuses_a_filing_by_hand_without_a_point(town: Town, as_user: Any) -> None:
    with pytest.raises(DBAPIError, match="needs its point"):
        as_user(town.clerk).execute(
            text(
                """INSERT INTO report (territory_id, precision, channel, status, flags, opened_at, source_id,
                     reference, content) VALUES (:territory, 2, 2, 7, 0, now(), 1, 'R-1', 0)"""
            ),
            {"territory": town.territory},
        )
