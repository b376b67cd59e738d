"""Headers find their profile, columns their field, and a file that fits none gets help."""

from pathlib import Path

import pytest
import yaml

from data.vocabulary import Channel, Status
from geo.errors import ProfileError
from ingest.profile import FIELDS, Dates, Profile, detect, header_key, load_profile, load_profiles, skeleton
from ingest.readers import open_table
from ingest.text import fold

SHIPPED = ["baltimore_311", "generic", "open311", "portal_ar"]


def detected(path):
    with open_table(path) as table:
        return detect(table.columns, table.format)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_profile_is_well_formed(name):
    profile = load_profile(name)
    assert profile.name == name
    assert set(profile.columns) <= set(FIELDS)
    assert set(profile.identity) <= set(FIELDS)


def test_the_generic_profile_comes_last():
    assert [p.name for p in load_profiles()] == ["baltimore_311", "open311", "portal_ar", "generic"]


def test_the_portal_sheet_has_28_columns_and_all_of_them_are_known():
    portal = load_profile("portal_ar")
    assert len(portal.header) == len(set(portal.header)) == 28
    found = detect(portal.header, "xlsx")
    assert found.profile.name == "portal_ar"
    assert found.unmatched == ["تاريخ الاسناد"]
    assert found.profile.personal_columns(portal.header) == portal.header[-4:]
    assert found.mapping["reference"] == "رقم البلاغ المجمع"
    assert found.mapping["opened_at"] == "تاريخ البلاغ"
    assert found.mapping["type"] == found.mapping["element"] == "اسم التصنيف"
    assert (found.mapping["x"], found.mapping["y"]) == ("احداثي X", "احداثي Y")


def test_a_portal_sheet_with_only_the_columns_seen_is_recognised():
    seen = ["رقم البلاغ المجمع", "رقم البلاغ لدى Crm", "البلدية", "حالة البلاغ", "تاريخ الاسناد",
            "تاريخ الاغلاق", "احداثي X", "احداثي Y", "اسم التصنيف", "اسم النطاق"]  # fmt: skip
    found = detect(seen, "csv")
    assert found.profile.name == "portal_ar"
    assert found.mapping["opened_at"] == "تاريخ الاسناد"
    assert not found.unmatched


GENERIC = {
    "la_myla311_2017_subset.csv.gz": {
        "reference": "SRNumber", "type": "RequestType", "opened_at": "CreatedDate", "closed_at": "ClosedDate",
        "updated_at": "UpdatedDate", "status": "Status", "channel": "RequestSource", "longitude": "Longitude",
        "latitude": "Latitude", "district": "NCName",
    },
    "la_myla311_2020_requests.csv.gz": {
        "reference": "srnumber", "type": "requesttype", "opened_at": "createddate", "closed_at": "closeddate",
        "status": "status", "longitude": "longitude", "latitude": "latitude", "district": "ncname",
    },
    "nyc_311_2023_sample3.csv.gz": {
        "reference": "Unique Key", "type": "Complaint Type", "subtype": "Descriptor",
        "opened_at": "Created Date", "closed_at": "Closed Date", "due_at": "Due Date",
        "updated_at": "Resolution Action Updated Date",
        "status": "Status", "channel": "Open Data Channel Type", "longitude": "Longitude",
        "latitude": "Latitude", "municipality": "Borough", "district": "Community Board",
    },
    "sf_311_2018_2019.csv.gz": {
        "reference": "CaseID", "type": "Request Type", "group": "Category", "opened_at": "Opened",
        "closed_at": "Closed", "status": "Status", "channel": "Source", "longitude": "Longitude",
        "latitude": "Latitude", "location": "Point", "district": "Neighborhood",
        "agency": "Responsible Agency",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", GENERIC)
def test_real_exports_load_through_the_generic_profile(shared_data, name):
    found = detected(shared_data / "exports" / name)
    assert found.profile.name == "generic" and not found.profile.own_taxonomy
    assert {field: found.mapping.get(field) for field in GENERIC[name]} == GENERIC[name]


def test_boston_parquet_loads_through_the_generic_profile(shared_data):
    found = detected(shared_data / "boston_animals_pests/boston_311_animals_pests_2013_2019.parquet")
    assert found.mapping["reference"] == "case_enquiry_id"
    assert found.mapping["due_at"] == "sla_target_dt"
    assert (found.mapping["opened_at"], found.mapping["closed_at"]) == ("open_dt", "closed_dt")


def test_baltimore_has_its_own_profile_and_closes_by_its_status_date(shared_data):
    found = detected(shared_data / "baltimore/reports.csv.gz")
    assert found.profile.name == "baltimore_311"
    assert not found.unmatched and "reference" not in found.mapping
    assert found.profile.closed_from_updated and found.profile.dates.timezone == "America/New_York"


@pytest.mark.parametrize(
    "name",
    ["chicago/requests_extended.json", "cologne/sagsuns.json", "bensheldon_fixtures/requests_many.xml"],
)
def test_open311_answers_have_their_own_profile(shared_data, name):
    found = detected(shared_data / "open311" / name)
    assert found.profile.name == "open311"
    assert found.mapping["reference"] == "service_request_id" and found.mapping["longitude"] == "long"


@pytest.mark.parametrize(
    ("profile", "path", "columns"),
    [
        ("generic", "exports/la_myla311_2017_subset.csv.gz", ("Status", "RequestSource")),
        ("generic", "exports/la_myla311_2020_requests.csv.gz", ("status", "requestsource")),
        ("generic", "exports/nyc_311_2023_sample3.csv.gz", ("Status", "Open Data Channel Type")),
        ("generic", "exports/sf_311_2018_2019.csv.gz", ("Status", "Source")),
        ("baltimore_311", "baltimore/reports.csv.gz", ("srstatus", None)),
    ],
)
def test_every_status_and_channel_word_of_the_real_exports_is_known(shared_data, profile, path, columns):
    words = {
        kind: {fold(word) for word in load_profile(profile).values.get(kind, {})}
        for kind in ("status", "channel")
    }
    with open_table(shared_data / path) as table:
        for chunk in table.chunks():
            for kind, column in zip(("status", "channel"), columns, strict=True):
                if column is not None:
                    given = set(chunk.frame[column].drop_nulls().to_list())
                    assert {word for word in given if fold(word) not in words[kind]} == set()


def test_every_type_of_baltimore_is_judged(shared_data):
    judged = load_profile("baltimore_311").values["element"]
    with open_table(shared_data / "baltimore/reports.csv.gz") as table:
        types = {t for chunk in table.chunks() for t in chunk.frame["srtype"].unique().to_list()}
    assert types == set(judged)
    assert judged["SW-Dirty Alley"] == "R06" and judged["SW-Municipal Trash Can Stolen/Lost"] is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SRNumber", "sr_number"),
        ("Created Date", "createddate"),
        ("تاريخ الإغلاق", "تاريخ اغلاق"),
        ("إحداثي X", "احداثي x"),
        ("البلديّة", "بلديه"),
        ("رقم\u200f البلاغ", "رقم البلاغ"),
    ],
)
def test_header_names_are_compared_without_case_blanks_hamza_and_article(one, other):
    assert header_key(one) == header_key(other)


def test_a_joined_header_matches_by_its_lower_row():
    columns = ["رقم البلاغ", "نوع البلاغ", "تاريخ البلاغ", "الموقع / خط الطول", "الموقع / خط العرض"]
    found = detect(columns, "xlsx")
    assert found.mapping["longitude"] == "الموقع / خط الطول"
    assert "location" not in found.mapping


def test_arabic_headers_without_a_profile_are_recognised():
    columns = ["رقم الطلب", "العنصر", "تاريخ الانشاء", "الحالة", "الحي", "خط الطول", "خط العرض", "رقم الجوال"]
    found = detect(columns, "csv")
    assert found.profile.name == "generic"
    # A column of our elements means our taxonomy, also in a file without a profile.
    assert found.profile.own_taxonomy
    assert not found.unmatched
    assert found.profile.personal_columns(columns) == ["رقم الجوال"]


def test_a_map_file_needs_no_coordinate_columns_and_a_table_needs_a_place_or_a_kind():
    assert detect(["id", "created_at"], "gpkg").profile.name == "generic"
    with pytest.raises(ProfileError, match="its type or its place"):
        detect(["id", "created_at"], "csv")


def test_a_file_that_fits_none_lists_its_columns_and_shows_a_profile_that_loads(tmp_path):
    columns = ["Nr", "Was", "Datum der Meldung", 'Feld "x"', "Laenge"]
    with pytest.raises(ProfileError) as caught:
        detect(columns, "csv")
    said = str(caught.value)
    assert "the date a report was opened" in said and "Datum der Meldung" in said and "--profile" in said
    path = tmp_path / "my_city.yaml"
    path.write_text(skeleton(columns), encoding="utf-8")
    assert load_profile(path).name == "my_city"


def test_a_profile_of_ones_own_overrides_and_extends(tmp_path):
    path = tmp_path / "koeln.yaml"
    path.write_text(
        "name: koeln\ntitle: {ar: كولونيا, en: Cologne}\nsource: koeln\nextends: generic\n"
        "columns:\n  opened_at: [Datum]\n  type: [Was]\nvalues:\n  status: "
        "{offen: received, closed: treated}\n"
        "dates: {order: dmy, timezone: Europe/Berlin}\ndetect:\n  - [Datum]\n  - [Was]\n",
        encoding="utf-8",
    )
    found = detect(["Nr", "Was", "Datum", "lat", "lon"], "csv", [load_profile(path)])
    assert "as asked" in found.reason
    assert found.mapping == {"type": "Was", "opened_at": "Datum", "longitude": "lon", "latitude": "lat"}
    status = found.profile.values["status"]
    assert status["offen"] == "received" and status["closed"] == "treated" and status["open"] == "received"
    assert detect(["Nr", "Was", "Datum"], "csv", load_profiles(tmp_path)).profile.name == "koeln"


def test_a_profile_that_was_asked_for_but_does_not_fit_says_so():
    with pytest.raises(ProfileError, match="The profile open311 does not fit"):
        detect(["a", "b"], "csv", [load_profile("open311")])


BASE = {
    "name": "x", "title": {"ar": "س", "en": "x"}, "source": "x",
    "columns": {"opened_at": ["d"], "type": ["t"]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": {"opend_at": ["d"]}}, "names no field of ours: opend_at"),
        ({"values": {"status": {"open": "opened"}}}, "values.status uses opened"),
        ({"values": {"status": {"مُغلق": "closed", "مغلق": "treated"}}}, "one word with two meanings"),
        ({"dates": {"timezone": "Mars/Olympus"}}, "time zone"),
        ({"crs": "EPSG:1"}, "crs"),
        ({"title": {"en": "x"}}, "one for en"),
        ({"constants": {"channel": "carrier pigeon"}}, "carrier pigeon"),
        ({"colums": {}}, "colums"),
        ({"extends": "nothing"}, "does not exist"),
    ],
)
def test_a_faulty_profile_is_refused_with_the_fault(tmp_path, change, message):
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(BASE | change, allow_unicode=True), encoding="utf-8")
    with pytest.raises(ProfileError, match=message):
        load_profile(path)


def test_a_profile_with_a_key_twice_or_no_yaml_is_refused(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("name: x\nname: y\n", encoding="utf-8")
    with pytest.raises(ProfileError, match="stands twice"):
        load_profile(path)
    path.write_text("name: [x\n", encoding="utf-8")
    with pytest.raises(ProfileError, match="no YAML"):
        load_profile(path)
    with pytest.raises(ProfileError, match="portal_ar"):
        load_profile("portal")


def test_words_that_yaml_takes_for_truth_or_numbers_stay_words():
    channels = load_profile("generic").values["channel"]
    assert channels["311"] == "call_centre" and channels["940"] == "call_centre"


def test_all_words_lead_to_codes_of_the_vocabulary():
    for name in SHIPPED:
        values = load_profile(name).values
        assert {Status[str(v).upper()] for v in values.get("status", {}).values()} <= set(Status)
        assert {Channel[str(v).upper()] for v in values.get("channel", {}).values()} <= set(Channel)


def test_every_key_field_and_shipped_profile_is_documented():
    text = (Path(__file__).parents[2] / "docs/profiles.md").read_text(encoding="utf-8")
    missing = [name for name in [*Profile.model_fields, *Dates.model_fields] if f"`{name}`" not in text]
    assert missing == []
    assert [name for name in FIELDS if name not in text] == []
    assert [name for name in SHIPPED if f"`{name}`" not in text] == []
