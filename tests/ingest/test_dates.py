"""Dates: every way of writing them that was met, and what is refused."""

import datetime as dt
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hijridate import Gregorian, Hijri
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.errors import InputError
from ingest.dates import DateCounts, DateEvidence, DateHints, DateOrder, parse_dates

WINDOW = (dt.date(1990, 1, 1), dt.date(2026, 12, 31))
DMY = DateOrder("dmy", "hint")
MDY = DateOrder("mdy", "hint")
RIYADH = DateHints()


def read(value, order=DMY, hints=RIYADH, window=WINDOW):
    """The one value as (UTC text or None, fault, proposal, has_time, calendar)."""
    parsed = parse_dates(pl.Series([value]), order, hints, window)
    when = parsed.utc[0]
    text = when.strftime("%Y-%m-%dT%H:%M:%S") if when else None
    return text, parsed.fault[0], parsed.proposal[0], parsed.has_time[0], parsed.calendar[0]


def settled(values, hints=RIYADH, siblings=()):
    evidence = DateEvidence()
    evidence.update(pl.Series(values))
    return evidence.settle(hints, siblings)


# 15 January 2025 00:00 in Riyadh, which is 15 Rajab 1446
DAY = "2025-01-14T21:00:00"
CLOCK = "2025-01-15T11:30:00"  # 14:30 in Riyadh


@pytest.mark.parametrize(
    "value",
    [
        "2025-01-15",
        "2025/01/15",
        "2025.1.15",
        "15/01/2025",
        "15-1-2025",
        "15.01.2025",
        "15 01 2025",
        "15/01/25",
        "20250115",
        "20250115.0",
        "15 Jan 2025",
        "15-Jan-25",
        "JAN 15, 2025",
        "January 15th, 2025",
        "Wed, 15 Jan 2025",
        "2025-Jan-15",
        "15 يناير 2025",
        "15 كانون الثاني 2025",
        "الأربعاء 15 يناير 2025 م",
        "2025/01/15م",
        "٢٠٢٥/٠١/١٥",
        "۲۰۲۵/۰۱/۱۵",
        "\u200f15/01/2025\u200e",
        "\u202b٢٠٢٥-٠١-١٥\u202c",
        "  2025-01-15\u00a0",
        "'2025-01-15",
        "45672",
        "45672.0",
        "1446/07/15",
        "15/7/1446",
        "15-07-1446 هـ",
        "1446/07/15هـ",
        "1446-7-15 ه",
        "١٤٤٦/٠٧/١٥ هـ",
        "15 رجب 1446هـ",
        "15 رجب ١٤٤٦",
        "رجب 15، 1446",
        "1446/07/15 هـ الموافق 2025/01/15 م",
        "1446/07/15 هـ الموافق 2025/01/15",
        "15/01/2025 00:00",
        "14/01/2025 24:00:00",
        "15/01/2025 12:00:00 AM",
    ],
)
def test_one_day_is_read_however_it_is_written(value):
    when, fault, proposal, _, _ = read(value)
    assert (when, fault, proposal) == (DAY, None, None)


@pytest.mark.parametrize(
    "value",
    [
        "2025-01-15 14:30",
        "2025-01-15 14:30:00",
        "2025-01-15T14:30:00",
        "2025-01-15T11:30:00Z",
        "2025-01-15T11:30:00.000Z",
        "2025-01-15T14:30:00+03:00",
        "2025-01-15T14:30:00.0000000+03:00",
        "2025-01-15 14:30:00+03:00[Asia/Riyadh]",
        "2025-01-15T06:30:00-0500",
        "2025-01-15 11:30:00 UTC",
        "20250115T143000",
        "20250115T113000Z",
        "20250115143000",
        "2025-01-15-14.30.00.000000",
        "15.01.2025 14.30",
        "15/01/2025 02:30 PM",
        "15/01/2025 2:30:00 pm",
        "15/01/2025 02:30 p.m.",
        "15/01/2025 02:30 م",
        "15/01/2025 02:30:00 مساءً",
        "١٥/٠١/٢٠٢٥ ٠٢:٣٠:٠٠ م",
        "02:30 م 15/01/2025",
        "14:30 15/01/2025",
        "15/01/2025 - 14:30",
        "15/01/2025م الساعة 14:30",
        "15 January 2025 at 2:30 PM",
        "15/07/1446 هـ 14:30",
        "15/07/1446 02:30 م",
        "Wed, 15 Jan 2025 14:30:00 +0300",
        "Wed Jan 15 2025 14:30:00 GMT+0300 (Arabian Standard Time)",
        "1736940600000",
        "1736940600",
        "45672.604166666664",
    ],
)
def test_one_instant_is_read_however_it_is_written(value):
    assert read(value)[:4] == (CLOCK, None, None, True)


@pytest.mark.parametrize(
    "value", [None, "", "  ", "-", "NULL", "لا يوجد", "0000-00-00", "0000-00-00 00:00:00", "00/00/0000", "0"]
)
def test_an_empty_date_is_missing_and_no_fault(value):
    parsed = parse_dates(pl.Series([value], dtype=pl.String), DMY, RIYADH, WINDOW)
    assert (parsed.utc[0], parsed.fault[0], parsed.calendar[0], parsed.has_time[0]) == (
        None,
        None,
        None,
        False,
    )


@pytest.mark.parametrize(
    "value",
    [
        "soon",
        "2025",
        "2025-01",
        "Jan 2025",
        "14:30",
        "31/02/2025",
        "2025-02-29",
        "32/01/2025",
        "15/13/2025 x",
        "2025-01-15 25:00",
        "2025-01-15 10:61",
        "15/01/2025 13:00 AM",
        "2025-01-15T10:00:00+99:00",
        "15 Foo 2025",
        "15 رجب يناير 1446",
        "15/01/2025 16/01/2025",
        "9999-12-31",
        "0001-01-01",
        "99999",
        "9999999999999",
        "12345678901234567890",
        "15/07/1446 م هـ",
        "a" * 500,
    ],
)
def test_what_is_no_date_is_unreadable_and_never_guessed(value):
    when, fault, _, has_time, calendar = read(value)
    assert (when, fault, has_time, calendar) == (None, "unreadable_date", False, None)


@pytest.mark.parametrize(
    ("value", "fault", "proposal"),
    [
        ("1464/07/15", "hijri_year_implausible", "2025-01-15"),  # 1446, digits exchanged
        ("15/07/1464 هـ", "hijri_year_implausible", "2025-01-15"),
        ("1644/07/15", "hijri_year_implausible", "2025-01-15"),
        ("15 رجب 1464", "hijri_year_implausible", "2025-01-15"),
        ("1400/01/01", "hijri_year_implausible", None),  # 1979: outside the window, no slip explains it
        ("2025/01/15 هـ", "hijri_year_implausible", "2025-01-15"),
        ("1446/07/15 م", "unreadable_date", "2025-01-15"),
        ("2025-15-01", "unreadable_date", "2025-01-15"),
        ("0225-01-15", "unreadable_date", "2025-01-15"),
        ("2205-01-15", "unreadable_date", "2025-01-15"),
        ("1446/08/30", "unreadable_date", "2025-03-01"),  # Sha'ban 1446 had 29 days
        ("2030-01-01", None, "2003-01-01"),  # the caller judges the future
        ("2222-02-02", "unreadable_date", None),
        ("2052-01-15", None, "2025-01-15"),
    ],
)
def test_an_implausible_date_gets_a_fault_and_at_most_a_proposal(value, fault, proposal):
    when, got, proposed, _, _ = read(value)
    assert (got, proposed) == (fault, proposal)
    assert (when is None) == (fault is not None)


@pytest.mark.parametrize(
    ("value", "hints", "day"),
    [
        ("15/01/25", DateHints(), "2025-01-15"),
        ("15/01/95", DateHints(), "1995-01-15"),
        ("15/07/46", DateHints(), "2025-01-15"),  # neither 2046 nor 1946 is plausible: 1446
        ("15/07/46 م", DateHints(), "2046-07-15"),
        ("15/07/46", DateHints(calendar="gregorian"), "2046-07-15"),
        ("15/07/20", DateHints(calendar="hijri"), "1999-10-24"),
        ("15/07/20 هـ", DateHints(), "1999-10-24"),
    ],
)
def test_a_two_digit_year_falls_into_the_window(value, hints, day):
    parsed = parse_dates(pl.Series([value]), DMY, hints, WINDOW)
    assert parsed.utc[0].astimezone(ZoneInfo("Asia/Riyadh")).date().isoformat() == day


def test_values_that_fit_one_order_settle_the_others_of_the_column():
    order = settled(["25/12/2024", "05/06/2024", "31/01/2024"])
    assert (order.order, order.decided_by, order.ambiguous) == ("dmy", "evidence", False)
    assert order.counts == DateCounts(dmy=2, ambiguous=1)
    assert read("05/06/2024", order)[:3] == ("2024-06-04T21:00:00", None, None)
    order = settled(["12/25/2024", "05/06/2024"])
    assert read("05/06/2024", order)[:3] == ("2024-05-05T21:00:00", None, None)


def test_a_column_that_does_not_settle_flags_what_fits_both():
    order = settled(["05/06/2024", "07/08/2024", "09/09/2024"])
    assert (order.order, order.decided_by, order.ambiguous) == ("dmy", "default", True)
    assert "assumption" in order.describe()
    assert read("05/06/2024", order)[:3] == ("2024-06-04T21:00:00", "ambiguous_date", "2024-05-06")
    assert read("09/09/2024", order)[:3] == ("2024-09-08T21:00:00", None, None)
    assert read("2024-06-05", order)[:3] == ("2024-06-04T21:00:00", None, None)


def test_one_slip_in_many_does_not_unsettle_a_column_but_a_tenth_does():
    order = settled(["25/12/2024"] * 99 + ["12/25/2024", "05/06/2024"])
    assert (order.order, order.ambiguous, order.counts.mdy) == ("dmy", False, 1)
    assert read("12/25/2024", order)[0] == "2024-12-24T21:00:00"  # one reading only: taken
    order = settled(["25/12/2024"] * 90 + ["12/25/2024"] * 10 + ["05/06/2024"])
    assert (order.order, order.ambiguous) == ("dmy", True)
    assert read("05/06/2024", order)[1] == "ambiguous_date"


def test_two_habits_in_one_column_are_kept_apart_by_their_form():
    order = settled(["25/12/2024", "12/25/2024 03:00:00 PM", "05/06/2024", "05/06/2024 03:00:00 PM"])
    assert not order.ambiguous
    assert read("05/06/2024", order)[0] == "2024-06-04T21:00:00"
    assert read("05/06/2024 03:00:00 PM", order)[0] == "2024-05-06T12:00:00"


def test_a_hint_stands_above_evidence_and_is_said():
    order = settled(["25/12/2024", "05/06/2024"], DateHints(order="mdy"))
    assert (order.order, order.decided_by, order.ambiguous) == ("mdy", "hint", False)
    assert order.counts.dmy == 1
    assert "profile" in order.describe()
    assert settled(["05/06/2024"], DateHints(formats=("%d/%m/%Y",))).decided_by == "hint"


def test_a_silent_column_follows_the_other_date_columns_of_its_file():
    other = DateEvidence()
    other.update(pl.Series(["12/25/2024"]))
    order = settled(["05/06/2024"], siblings=[other])
    assert (order.order, order.decided_by, order.ambiguous) == ("mdy", "evidence", False)


def test_two_digit_years_in_front_are_recognised():
    order = settled(["99/12/31", "24/05/06"])
    assert order.order == "ymd"
    assert read("24/05/06", order)[0] == "2024-05-05T21:00:00"
    order = settled([f"{year}/03/{day:02d}" for year in (23, 24) for day in range(1, 29)])
    assert read("24/03/06", order)[:2] == ("2024-03-05T21:00:00", None)


def test_a_column_whose_dates_leave_no_doubt_says_so():
    order = settled(["2024-05-06", "6 May 2024"])
    assert not order.ambiguous
    assert "no doubt" in order.describe()


def test_the_trace_of_a_spreadsheet_of_another_locale_is_found_and_flagged():
    # dd/mm/yyyy opened by a US spreadsheet: days up to 12 became dates with day and month exchanged
    values = [f"{day}/05/2024" for day in range(13, 32)] * 2 + [
        f"2024-{day:02d}-05 00:00:00" for day in range(1, 13)
    ] * 2
    order = settled(values)
    assert order.exchanged
    assert "exchanged" in order.describe()
    assert read("2024-07-05 00:00:00", order)[:3] == ("2024-07-04T21:00:00", "ambiguous_date", "2024-05-07")
    honest = [*values, "2024-05-25"]
    assert not settled(honest).exchanged


def test_four_formats_in_one_column_are_all_read():
    values = [
        "2025-01-15",
        "15/01/2025",
        "Jan 15, 2025",
        "1446/07/15",
        "٢٠٢٥/٠١/١٥",
        "45672",
        None,
        "25/01/2025",
    ]
    order = settled(values)
    parsed = parse_dates(pl.Series(values), order, RIYADH, WINDOW)
    days = [None if t is None else t.strftime("%Y-%m-%dT%H:%M:%S") for t in parsed.utc]
    assert days == [DAY] * 6 + [None, "2025-01-24T21:00:00"]
    assert parsed.fault.null_count() == 8
    assert parsed.calendar.to_list() == ["gregorian"] * 3 + ["hijri"] + ["gregorian"] * 2 + [
        None,
        "gregorian",
    ]


def test_a_format_of_the_profile_comes_first():
    hints = DateHints(formats=("%d%m%Y", "%Y|%d|%m %H:%M"))
    assert read("15012025", hints=hints)[:2] == (DAY, None)
    assert read("2025|15|01 14:30", hints=hints)[:4] == (CLOCK, None, None, True)
    assert read("2025-01-15", hints=hints)[0] == DAY


@pytest.mark.parametrize(
    ("wall", "utc"),
    [
        ("2024-03-10 01:59", "2024-03-10T06:59:00"),
        ("2024-03-10 02:30", "2024-03-10T07:30:00"),  # skipped: read with the offset before
        ("2024-03-10 03:00", "2024-03-10T07:00:00"),
        ("2024-11-03 01:30", "2024-11-03T05:30:00"),  # happens twice: the first one
        ("2024-11-03 02:00", "2024-11-03T07:00:00"),
        ("2024-07-01", "2024-07-01T04:00:00"),
    ],
)
def test_clock_changes_are_read_as_documented(wall, utc):
    assert read(wall, hints=DateHints(timezone="America/New_York"))[0] == utc


def test_a_day_that_a_country_left_out_is_still_read():
    assert read("2011-12-30 12:00", hints=DateHints(timezone="Pacific/Apia"))[0] == "2011-12-30T22:00:00"


@given(
    st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2030, 1, 1)),
    st.sampled_from(
        ["Europe/Berlin", "America/Los_Angeles", "Africa/Cairo", "Asia/Riyadh", "Australia/Lord_Howe"]
    ),
)
@settings(max_examples=150, deadline=None)
def test_wall_times_agree_with_the_standard_library(wall, timezone):
    wall = wall.replace(microsecond=wall.microsecond // 1000 * 1000)
    value = wall.isoformat(sep=" ", timespec="milliseconds")
    parsed = parse_dates(pl.Series([value]), DMY, DateHints(timezone=timezone), WINDOW)
    expected = wall.replace(tzinfo=ZoneInfo(timezone)).astimezone(dt.UTC)
    assert parsed.utc[0] == expected


@given(
    st.dates(dt.date(1990, 1, 1), dt.date(2026, 12, 31)),
    st.sampled_from(["{y}/{m:02d}/{d:02d}", "{d}-{m}-{y} هـ", "{d:02d}/{m:02d}/{y}"]),
)
@settings(max_examples=150, deadline=None)
def test_hijri_dates_agree_with_hijridate(day, form):
    hijri = Gregorian.fromdate(day).to_hijri()
    value = form.format(y=hijri.year, m=hijri.month, d=hijri.day)
    parsed = parse_dates(pl.Series([value]), DMY, DateHints(timezone="UTC"), WINDOW)
    assert (parsed.utc[0].date(), parsed.calendar[0]) == (day, "hijri")


def test_the_whole_table_of_hijri_months_agrees_with_hijridate():
    firsts = [(y, m) for y in range(1343, 1501) for m in range(1, 13)]
    series = pl.Series([f"{y}-{m:02d}-01" for y, m in firsts])
    parsed = parse_dates(series, DMY, DateHints(timezone="UTC"), (dt.date(1900, 1, 1), dt.date(2100, 1, 1)))
    assert [t.date() for t in parsed.utc] == [Hijri(y, m, 1).to_gregorian() for y, m in firsts]


@given(st.lists(st.text(max_size=30) | st.none(), max_size=20))
@settings(max_examples=200, deadline=None)
def test_no_text_breaks_the_parser_and_every_value_gets_one_verdict(values):
    series = pl.Series(values, dtype=pl.String)
    evidence = DateEvidence()
    evidence.update(series)
    parsed = parse_dates(series, evidence.settle(RIYADH), RIYADH, WINDOW)
    for column in (parsed.utc, parsed.fault, parsed.proposal, parsed.has_time, parsed.calendar):
        assert len(column) == len(values)
    refused = parsed.fault.is_in(["unreadable_date", "hijri_year_implausible"]).fill_null(False)
    assert not (refused & parsed.utc.is_not_null()).any()


def test_the_result_does_not_depend_on_the_other_values_of_a_chunk():
    values = [
        "2025-01-15",
        "15/01/2025 02:30 م",
        "x",
        None,
        "١٤٤٦/٠٧/١٥",
        "\u200e45672",
        "15-Jan-25",
        "1464/07/15",
    ]
    together = parse_dates(pl.Series(values), DMY, RIYADH, WINDOW)
    for row, value in enumerate(values):
        alone = parse_dates(pl.Series([value], dtype=pl.String), DMY, RIYADH, WINDOW)
        assert alone.utc[0] == together.utc[row]
        assert alone.fault[0] == together.fault[row]
        assert alone.proposal[0] == together.proposal[row]


def test_dates_that_a_reader_typed_are_taken_as_they_are():
    noon = dt.datetime(2025, 1, 15, 14, 30)
    for series in (
        pl.Series([noon, None]),
        pl.Series([noon, None]).cast(pl.Datetime("ms")),
        pl.Series([noon, None]).dt.replace_time_zone("Asia/Riyadh"),
    ):
        parsed = parse_dates(series, DMY, RIYADH, WINDOW)
        assert parsed.utc.dtype == pl.Datetime("us", "UTC")
        assert parsed.utc[0].strftime("%Y-%m-%dT%H:%M:%S") == CLOCK
        assert parsed.has_time.to_list() == [True, False]
        assert parsed.utc[1] is None
    parsed = parse_dates(pl.Series([dt.date(2025, 1, 15)]), DMY, RIYADH, WINDOW)
    assert parsed.utc[0].strftime("%Y-%m-%dT%H:%M:%S") == DAY
    assert not parsed.has_time[0]
    hijri = parse_dates(pl.Series([dt.date(1446, 7, 15)]), DMY, RIYADH, WINDOW)
    assert (hijri.utc[0].strftime("%Y-%m-%dT%H:%M:%S"), hijri.calendar[0]) == (DAY, "hijri")


def test_numbers_are_serial_days_epochs_or_compact_dates():
    assert read(45672)[0] == DAY
    assert read(45672.604166666664)[0] == CLOCK
    assert read(1736940600000)[0] == CLOCK
    assert read(20250115)[0] == DAY
    assert read(7)[1] == "unreadable_date"


def test_an_empty_column_gives_empty_columns():
    parsed = parse_dates(pl.Series([], dtype=pl.String), DMY, RIYADH, WINDOW)
    assert len(parsed.utc) == 0
    assert parsed.utc.dtype == pl.Datetime("us", "UTC")


@pytest.mark.parametrize("wrong", [{"timezone": "Riyadh"}, {"order": "dym"}, {"calendar": "julian"}])
def test_a_wrong_hint_is_refused_with_a_reason(wrong):
    with pytest.raises(InputError, match="write"):
        DateHints(**wrong)


EXPORTS = {
    "exports/la_myla311_2017_subset.csv.gz": (
        "mdy",
        ["CreatedDate", "UpdatedDate", "ServiceDate", "ClosedDate"],
    ),
    "exports/nyc_311_2023_sample3.csv.gz": (
        "mdy",
        ["Created Date", "Closed Date", "Resolution Action Updated Date"],
    ),
    "exports/sf_311_2018_2019.csv.gz": ("mdy", ["Opened", "Closed", "Updated"]),
    "exports/la_myla311_2020_requests.csv.gz": ("dmy", ["createddate", "closeddate", "servicedate"]),
    "baltimore/reports.csv.gz": ("dmy", ["createddate", "statusdate", "duedate"]),
}


@pytest.mark.parametrize("name", EXPORTS)
def test_every_date_of_the_real_exports_is_read_as_the_plain_way_reads_it(shared_data, name):
    order, columns = EXPORTS[name]
    frame = pl.read_csv(shared_data / name, infer_schema=False, encoding="utf8-lossy")
    hints = DateHints(timezone="UTC")
    for column in columns:
        values = frame[column]
        evidence = DateEvidence()
        evidence.update(values)
        chosen = evidence.settle(hints)
        assert not chosen.ambiguous
        assert chosen.order == order
        parsed = parse_dates(values, chosen, hints, WINDOW)
        assert parsed.utc.null_count() == values.null_count()
        assert parsed.fault.null_count() == len(values)
        pattern = "%m/%d/%Y %I:%M:%S %p" if order == "mdy" else "%Y-%m-%d %H:%M:%S"
        text = values if order == "mdy" else values.str.pad_end(19).str.replace(r" {9}$", " 00:00:00")
        plain = text.str.to_datetime(pattern, time_unit="us", time_zone="UTC")
        assert (parsed.utc.drop_nulls() == plain.drop_nulls()).all()
