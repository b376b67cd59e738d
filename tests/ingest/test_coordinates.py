"""Coordinates: numbers, angles, points in text, reference systems, exchanged axes."""

import numpy as np
import polars as pl
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from geo.errors import InputError
from ingest.coordinates import CoordinateSpec, StudyBox, parse_numbers, parse_points, settle_points
from ingest.point_texts import parse_angles, parse_pairs

EAST = StudyBox(48.0, 24.0, 51.0, 29.0, 0.1)  # lon and lat ranges do not meet
PLAIN = CoordinateSpec()
LON, LAT = 50.0888, 26.4207


def points(lon, lat, spec=PLAIN, study=EAST):
    return parse_points(pl.Series(lon), pl.Series(lat), None, spec, study)


def located(texts, spec=PLAIN, study=EAST):
    return parse_points(None, None, pl.Series(texts, dtype=pl.String), spec, study)


def utm(zone, lon=LON, lat=LAT):
    x, y = Transformer.from_crs("EPSG:4326", f"EPSG:326{zone}", always_xy=True).transform(lon, lat)
    return f"{x:.3f}", f"{y:.3f}"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("26.4207", 26.4207),
        ("26,4207", 26.4207),
        ("٢٦٫٤٢٠٧", 26.4207),
        ("۲۶٫۴۲۰۷", 26.4207),
        ("26٫4207", 26.4207),
        ("١٬٢٣٤٫٥", 1234.5),
        ("1,234.5", 1234.5),
        ("1.234,5", 1234.5),
        ("1,234,567", 1234567),
        ("1.234.567,25", 1234567.25),
        ("2 930 123", 2930123),
        ("2\u00a0930\u00a0123,5", 2930123.5),
        ("2'930'123", 2930123),
        ("26.4207°", 26.4207),
        ("12 م", 12),
        ("12 m²", 12),
        ("٣٫٥ متر مربع", 3.5),
        ("−5.5", -5.5),
        ("+5", 5),
        ("\u200e5\u200f", 5),
        ("1e3", 1000),
        ("0,250", 0.25),
        (".5", 0.5),
        ("", None),
        ("-", None),
        ("abc", None),
        ("1 2", None),
        ("1,2,3", None),
        ("nan", None),
        ("inf", None),
        ("1.2.3", None),
    ],
)
def test_numbers_are_read_as_people_write_them(text, number):
    assert parse_numbers(pl.Series([text]))[0] == number


def test_one_comma_before_three_digits_follows_the_rest_of_the_column():
    assert parse_numbers(pl.Series(["1,250", "7"])).to_list() == [1250, 7]
    assert parse_numbers(pl.Series(["1,250", "1,5"])).to_list() == [1.25, 1.5]
    assert parse_numbers(pl.Series(["1,250", "1,250.5"])).to_list() == [1250, 1250.5]
    assert parse_numbers(pl.Series(["1,250"]), comma="decimal").to_list() == [1.25]


def test_typed_numbers_pass_and_infinite_ones_are_none():
    assert parse_numbers(pl.Series([1, None])).to_list() == [1, None]
    assert parse_numbers(pl.Series([1.5, float("inf"), float("nan")])).to_list() == [1.5, None, None]


@given(
    st.floats(-180, 180), st.sampled_from(["western", "arabic", "persian"]), st.sampled_from([".", ",", "٫"])
)
@settings(max_examples=150, deadline=None)
def test_a_number_survives_every_script_and_decimal_sign(number, script, point):
    digits = {"western": "0123456789", "arabic": "٠١٢٣٤٥٦٧٨٩", "persian": "۰۱۲۳۴۵۶۷۸۹"}[script]
    text = f"{number:.6f}".translate(str.maketrans("0123456789", digits)).replace(".", point)
    assert parse_numbers(pl.Series([text]))[0] == float(f"{number:.6f}")


@pytest.mark.parametrize(
    ("text", "value", "axis"),
    [
        ("26°25'30\"N", 26.425, 2),
        ("26º 25′ 30″", 26.425, 0),
        ("26° 25.5' N", 26.425, 2),
        ("26 25 30", 26.425, 0),
        ("26:25:30", 26.425, 0),
        ("26-25-30 N", 26.425, 2),
        ("N 26 25 30", 26.425, 2),
        ("26d25m30s", 26.425, 0),
        ("26.425 N", 26.425, 2),
        ("26.425°", 26.425, 0),
        ("50°05'10\"E", 50 + 5 / 60 + 10 / 3600, 1),
        ("118.24 W", -118.24, 1),
        ("-118.24 W", -118.24, 1),
        ("33°30'S", -33.5, 2),
        ("٢٦°٢٥'٣٠\" شمال", 26.425, 2),
        ("26°25'30\" شمالاً", 26.425, 2),
        ("50.5 شرق", 50.5, 1),
        ("26°25,5'", 26.425, 0),
        ("26°25'60.00\"", 26 + 26 / 60, 0),
    ],
)
def test_angles_are_read_with_their_hemisphere(text, value, axis):
    angles = parse_angles(pl.Series([text]))
    assert angles.value[0] == pytest.approx(value, abs=1e-9)
    assert angles.axis[0] == axis


@pytest.mark.parametrize(
    "text", ["26°61'00\"", "26°25'61\"", "-26 N", "N 26 S", "26.5°30'", "26 25 30 12", "north", "26°N°"]
)
def test_what_is_no_angle_is_not_read(text):
    angles = parse_angles(pl.Series([text]))
    assert np.isnan(angles.value[0])
    assert angles.given[0]


@given(st.floats(-89.9999, 89.9999))
@settings(max_examples=100, deadline=None)
def test_degrees_minutes_seconds_give_back_the_angle(angle):
    seconds = round(abs(angle) * 3600, 3)
    degrees, rest = divmod(seconds, 3600)
    minutes, seconds_ = divmod(rest, 60)
    text = f"{int(degrees)}°{int(minutes)}'{seconds_:.3f}\"{'N' if angle >= 0 else 'S'}"
    assert parse_angles(pl.Series([text])).value[0] == pytest.approx(angle, abs=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "26.4207, 50.0888",
        "(26.4207, 50.0888)",
        "[26.4207,50.0888]",
        "26.4207;50.0888",
        "26.4207 50.0888",
        "26.4207 / 50.0888",
        "26,4207; 50,0888",
        "26,4207, 50,0888",
        "٢٦٫٤٢٠٧، ٥٠٫٠٨٨٨",
        "POINT (50.0888 26.4207)",
        "POINT(50.0888 26.4207)",
        "point z (50.0888 26.4207 0)",
        "SRID=4326;POINT(50.0888 26.4207)",
        '{"type": "Point", "coordinates": [50.0888, 26.4207]}',
        "{'latitude': '26.4207', 'longitude': '50.0888', 'human_address': '{\"city\": \"\"}'}",
        '{"lng": 50.0888, "lat": 26.4207}',
        "lat: 26.4207, lon: 50.0888",
        "x=50.0888 y=26.4207",
        "خط العرض 26.4207 خط الطول 50.0888",
        "26.4207° N, 50.0888° E",
        "50.0888E 26.4207N",
        "26°25'14.52\"N 50°5'19.68\"E",
        "26°25'14.52\" شمالاً 50°5'19.68\" شرقاً",
        "26 25 14.52 50 5 19.68",
        "geo:26.4207,50.0888",
        "https://maps.google.com/?q=26.4207,50.0888",
        "https://www.google.com/maps/@26.4207,50.0888,17z",
    ],
)
def test_one_place_is_found_however_its_location_is_written(text):
    found = located([text])
    assert found.fault[0] is None
    assert (found.lon[0], found.lat[0]) == (pytest.approx(LON, abs=1e-7), pytest.approx(LAT, abs=1e-7))
    assert not found.swapped[0]


def test_hexadecimal_wkb_is_a_point():
    text = shapely.to_wkb(shapely.set_srid(shapely.Point(LON, LAT), 4326), hex=True, include_srid=True)
    assert (located([text]).lon[0], located([text]).lat[0]) == (LON, LAT)


@pytest.mark.parametrize(
    "text",
    [
        "26.4207",
        "King Saud St 12, Dammam",
        "26.4, 50.1, 7",
        "POINT EMPTY",
        "26N 27N",
        "deadbeef" * 6,
        "{}",
        "POINT (x y)",
    ],
)
def test_a_location_without_a_point_is_unreadable(text):
    found = located([text])
    assert (found.fault[0], np.isnan(found.lon[0])) == ("unreadable_coordinates", True)


def test_a_blank_is_no_point_and_no_fault():
    found = points(["", None, "-"], [None, "  ", "NULL"])
    assert np.isnan(found.lon).all()
    assert found.fault.null_count() == 3
    assert not found.zero.any()


def test_half_a_point_is_unreadable():
    assert points(["50.1", "x"], [None, "26.4"]).fault.to_list() == ["unreadable_coordinates"] * 2


@pytest.mark.parametrize("zero", ["0", "0.0", "0,0", "٠", "0.0000000"])
def test_zero_zero_is_flagged_and_means_no_point(zero):
    found = points([zero, "50.1"], [zero, "26.4"])
    assert found.zero.tolist() == [True, False]
    assert np.isnan(found.lon[0])
    assert found.fault[0] is None


def test_impossible_degrees_are_out_of_range():
    found = points(["50.1", "500", "50.1"], ["26.4", "26.4", "-95"], study=None)
    assert found.fault.to_list() == [None, "out_of_range_coordinates", None]
    assert found.swapped.tolist() == [False, False, True]  # a place on Earth only after the exchange


def test_a_row_that_fits_only_exchanged_is_repaired_and_flagged():
    found = points(["50.1", "26.4", "50.2", "10.0"], ["26.4", "50.1", "26.5", "10.0"])
    assert found.swapped.tolist() == [False, True, False, False]
    assert found.lon.tolist() == [50.1, 50.1, 50.2, 10.0]  # outside both ways: left, the caller judges
    assert found.fault.null_count() == 4


def test_a_study_area_where_both_orders_fit_exchanges_nothing():
    box = StudyBox(25, 25, 51, 51, 0)
    assert points(["26.4"], ["50.1"], study=box).lon[0] == 26.4


def test_exchanged_columns_are_flagged_unless_they_are_only_called_x_and_y():
    lon, lat = ["26.4", "26.5", "50.1"], ["50.1", "50.2", "26.6"]
    named = points(lon, lat)
    assert named.lon.tolist() == [50.1, 50.2, 50.1]
    assert named.swapped.tolist() == [True, True, False]
    assert "exchanged" in named.detected
    called_xy = points(lon, lat, CoordinateSpec(xy_headers=True))
    assert called_xy.lon.tolist() == [50.1, 50.2, 50.1]
    assert called_xy.swapped.tolist() == [False, False, True]


def test_the_hint_for_axes_stands_and_rows_against_it_are_flagged():
    found = located(["50.1, 26.4", "26.5, 50.2"], CoordinateSpec(axes="lonlat"))
    assert found.lon.tolist() == [50.1, 50.2]
    assert found.swapped.tolist() == [False, True]


def test_lon_before_lat_in_a_location_column_is_seen_by_evidence():
    found = located(["50.1, 26.4", "50.2, 26.5"])
    assert found.lon.tolist() == [50.1, 50.2]
    assert not found.swapped.any()
    found = located(["118.1, 26.4", "117.2, 26.5"], study=None)
    assert found.lat.tolist() == [26.4, 26.5]


def test_a_hemisphere_letter_settles_the_axis_whatever_the_column_is_called():
    found = points(["26.4 N"], ["50.1 E"])
    assert (found.lon[0], found.lat[0]) == (50.1, 26.4)
    assert points(["26.4 N"], ["50.1 N"]).fault[0] == "unreadable_coordinates"


@pytest.mark.parametrize(("zone", "lon"), [("37", 39.2), ("38", 45.0), ("39", 50.1), ("40", 55.3)])
def test_utm_is_recognised_by_the_study_area(zone, lon):
    box = StudyBox(lon - 1, 24, lon + 1, 28, 0.1)
    x, y = utm(zone, lon, 26.0)
    found = points([x, "garbage"], [y, "5"], study=box)
    assert (found.lon[0], found.lat[0]) == (pytest.approx(lon, abs=1e-6), pytest.approx(26.0, abs=1e-6))
    assert f"{zone}N (EPSG:326{zone})" in found.detected
    swapped = points([x, y, x], [y, x, y], study=box)
    assert swapped.swapped.tolist() == [False, True, False]
    assert swapped.lon.tolist() == pytest.approx([lon] * 3, abs=1e-6)


def test_degrees_and_utm_in_one_column_are_told_apart_by_row():
    x, y = utm("39")
    found = points([str(LON), x, f"{float(x):,.3f}"], [str(LAT), y, f"{float(y):,.3f}"])
    assert found.lon.tolist() == pytest.approx([LON] * 3, abs=1e-6)
    assert "degrees" in found.detected
    assert "UTM" in found.detected


def test_utm_without_a_study_area_is_not_guessed():
    x, y = utm("39")
    found = points([x], [y], study=None)
    assert found.fault[0] == "out_of_range_coordinates"
    assert "give the reference system" in found.detected


def test_web_mercator_is_recognised():
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True).transform(LON, LAT)
    for study in (EAST, None):
        found = points([str(x)], [str(y)], study=study)
        assert (found.lon[0], found.lat[0]) == (pytest.approx(LON), pytest.approx(LAT))


def test_a_named_reference_system_is_used_for_all_rows():
    # Central Park, New York state plane, US survey feet
    spec = CoordinateSpec(crs="EPSG:2263", axes="lonlat")
    found = points(["993000"], ["223000"], spec, StudyBox(-74.3, 40.4, -73.6, 41.0, 0.1))
    assert (found.lon[0], found.lat[0]) == (pytest.approx(-73.97, abs=0.01), pytest.approx(40.78, abs=0.01))
    assert "EPSG:2263" in found.detected
    with pytest.raises(InputError, match="EPSG:99999"):
        CoordinateSpec(crs="EPSG:99999")


def test_the_columns_are_preferred_and_the_location_fills_their_gaps():
    found = parse_points(
        pl.Series(["50.1", None, "x", None]),
        pl.Series(["26.4", None, "26.4", None]),
        pl.Series(["(1, 2)", "(26.5, 50.2)", "POINT (50.3 26.6)", None]),
        PLAIN,
        EAST,
    )
    assert found.lon[:3].tolist() == [50.1, 50.2, 50.3]
    assert found.lat[:3].tolist() == [26.4, 26.5, 26.6]
    assert np.isnan(found.lon[3])
    assert found.fault.null_count() == 4


def test_a_settled_spec_reads_every_chunk_alike():
    lon, lat = pl.Series(["26.4", "26.5", "26.6"]), pl.Series(["50.1", "50.2", "50.3"])
    spec, said = settle_points(lon, lat, None, CoordinateSpec(xy_headers=True), EAST)
    assert spec.axes == "latlon"
    assert said
    odd_chunk = parse_points(pl.Series(["50.9"]), pl.Series(["26.9"]), None, spec, EAST)
    assert (odd_chunk.lon[0], odd_chunk.swapped[0]) == (50.9, True)


def test_a_point_needs_two_columns():
    with pytest.raises(InputError, match="two columns"):
        parse_points(pl.Series(["1"]), None, None, PLAIN, EAST)
    with pytest.raises(InputError, match="No column"):
        parse_points(None, None, None, PLAIN, EAST)


@given(st.lists(st.tuples(st.text(max_size=12) | st.none(), st.text(max_size=12) | st.none()), max_size=12))
@settings(max_examples=100, deadline=None)
def test_no_text_breaks_the_parser_and_a_fault_never_comes_with_a_point(rows):
    lon = pl.Series([a for a, _ in rows], dtype=pl.String)
    lat = pl.Series([b for _, b in rows], dtype=pl.String)
    for found in (parse_points(lon, lat, None, PLAIN, EAST), parse_points(None, None, lon, PLAIN, EAST)):
        assert len(found.lon) == len(found.fault) == len(rows)
        placed = np.isfinite(found.lon)
        assert (placed == np.isfinite(found.lat)).all()
        assert not (placed & found.fault.is_not_null().to_numpy()).any()


@given(st.text(max_size=20))
@settings(max_examples=200, deadline=None)
def test_no_location_text_breaks_the_parser(text):
    assert len(parse_pairs(pl.Series([text])).first) == 1


EXPORTS = [
    ("exports/la_myla311_2017_subset.csv.gz", "Longitude", "Latitude", "Location", None),
    (
        "exports/nyc_311_2023_sample3.csv.gz",
        "Longitude",
        "Latitude",
        "Location",
        ("X Coordinate (State Plane)", "Y Coordinate (State Plane)"),
    ),
    ("exports/sf_311_2018_2019.csv.gz", "Longitude", "Latitude", "Point", None),
    ("exports/la_myla311_2020_requests.csv.gz", "longitude", "latitude", None, None),
    ("baltimore/reports.csv.gz", "longitude", "latitude", None, None),
]


@pytest.mark.parametrize(("name", "lon", "lat", "place", "plane"), EXPORTS)
def test_the_real_exports_are_read_point_by_point(shared_data, name, lon, lat, place, plane):
    frame = pl.read_csv(shared_data / name, infer_schema=False, encoding="utf8-lossy")
    plain_lon, plain_lat = (frame[c].cast(pl.Float64).to_numpy() for c in (lon, lat))
    real = np.isfinite(plain_lon) & (plain_lon != 0)
    box = StudyBox(
        plain_lon[real].min(), plain_lat[real].min(), plain_lon[real].max(), plain_lat[real].max(), 0.1
    )
    found = parse_points(frame[lon], frame[lat], None, PLAIN, box)
    assert (np.isfinite(found.lon) == real).all()
    assert (found.lon[real] == plain_lon[real]).all()
    assert (found.lat[real] == plain_lat[real]).all()
    assert not found.swapped.any()
    assert found.fault.null_count() == len(frame)
    if place:
        text = parse_points(None, None, frame[place], PLAIN, box)
        here = np.isfinite(text.lon)
        assert here.sum() == frame[place].is_not_null().sum() - text.zero.sum()
        assert np.abs(text.lon[here & real] - plain_lon[here & real]).max() < 1e-6
        assert np.abs(text.lat[here & real] - plain_lat[here & real]).max() < 1e-6
    if plane:
        feet = parse_points(frame[plane[0]], frame[plane[1]], None, CoordinateSpec(crs="EPSG:2263"), box)
        both = np.isfinite(feet.lon) & real
        assert both.sum() > 4000
        # Four rows of this file name another place in feet than in degrees.
        assert (np.abs(feet.lon[both] - plain_lon[both]) > 5e-5).sum() == 4
