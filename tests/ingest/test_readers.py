"""Every format and every nasty file comes out as uniform chunks, or as an error that helps."""

import bz2
import datetime as dt
import gzip
import json
import zipfile

import geopandas
import numpy as np
import openpyxl
import polars as pl
import pyarrow as pa
import pytest
import shapely

from geo.errors import InputError
from ingest.readers import file_digest, open_table, opening, spreadsheet

ARABIC = "رقم البلاغ,نوع البلاغ,الحي,تاريخ البلاغ\n" + "".join(
    f"{i},حفر الشوارع والطرق,حي الشاطئ الغربي,2024-05-{i % 28 + 1:02d}\n" for i in range(1, 60)
)


def read(path, **options):
    """All rows, all bad rows and the notes of a file."""
    with open_table(path, **options) as table:
        chunks = list(table.chunks())
        frame = pl.concat([c.frame for c in chunks]) if chunks else pl.DataFrame()
        return frame, [bad for c in chunks for bad in c.bad], table


def write(folder, content, name="f.csv", encoding="utf-8"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


# -- delimited text --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "byte-order mark"),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16-LE"),
        ("utf-16-be", "UTF-16-BE"),
        ("cp1256", "Windows-1256"),
        ("iso8859_6", "iso8859_6"),
    ],
)
def test_arabic_text_is_read_in_every_common_encoding(tmp_path, encoding, said):
    frame, bad, table = read(write(tmp_path, ARABIC, encoding=encoding))
    assert frame["الحي"][0] == "حي الشاطئ الغربي"
    assert frame.height == 59 and not bad
    assert said in table.notes[0]


def test_an_encoding_can_be_named(tmp_path):
    path = write(tmp_path, "id,name\n1,كلمة\n", encoding="cp1256")
    assert read(path, encoding="windows-1256")[0]["name"][0] == "كلمة"
    with pytest.raises(InputError, match="not known"):
        read(path, encoding="klingon")


def test_arabic_after_megabytes_of_ascii_decides_the_encoding(tmp_path):
    rows = b"id,name\n" + b"1,plain\n" * 200_000 + ("2,شارع الملك فهد بالدمام\n" * 50).encode("cp1256")
    frame, bad, table = read(write(tmp_path, rows))
    assert frame["name"][-1] == "شارع الملك فهد بالدمام" and not bad
    assert "1256" in table.notes[0]


def test_a_broken_byte_refuses_its_row_only(tmp_path):
    good = "1,حفرة في الشارع\n".encode()
    frame, bad, _ = read(write(tmp_path, b"id,name\n" + good * 9 + b"7,\xff\xfebad\n" + good))
    assert frame.height == 10
    assert [(b.line, b.reason, b.row["id"]) for b in bad] == [(11, "undecodable", "7")]


def test_mojibake_inside_valid_utf8_is_left_as_it_is(shared_data):
    frame, bad, _ = read(shared_data / "exports/nyc_311_2023_sample3.csv.gz")
    assert not bad
    assert "Transportationâ\x80\x99s" in frame["Resolution Description"][0]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_recognised(tmp_path, delimiter):
    rows = [["id", "note", "x"], ["1", '"a, b; c | d"', "50,1" if delimiter != "," else "50.1"]] * 1
    text = "\n".join(delimiter.join(row) for row in [*rows, *[rows[1]] * 5]) + "\n"
    frame, bad, _ = read(write(tmp_path, text))
    assert frame.columns[:3] == ["id", "note", "x"] and not bad
    assert frame["note"][0] == "a, b; c | d"


def test_a_sep_line_names_the_delimiter_and_counts_as_a_line(tmp_path):
    frame, _, table = read(write(tmp_path, "sep=;\r\nid;a,b\r\n1;x\r\n"))
    assert frame.rows() == [("1", "x", 3)]
    assert any("sep=" in note for note in table.notes)


def test_quotes_other_than_double_are_recognised(tmp_path):
    single = "id,note,x\n" + "".join(f"{i},'a, b {i}',y\n" for i in range(9))
    assert read(write(tmp_path, single))[0]["note"][3] == "a, b 3"
    escaped = "id,note,x\n" + "".join(f'{i},"say \\"a, b\\" {i}",y\n' for i in range(9))
    assert read(write(tmp_path, escaped))[0]["note"][3] == 'say "a, b" 3'


def test_line_numbers_survive_breaks_blank_lines_and_refused_rows(tmp_path):
    text = 'title\n\nid,note\n1,"two\nlines"\n\n2\n3,ok\n4,"three\r\n\r\nlines"\n5,a,b\n6,end\n'
    frame, bad, table = read(write(tmp_path, text))
    assert frame.select("id", "__line").rows() == [("1", 4), ("3", 8), ("4", 9), ("6", 13)]
    assert [(b.line, b.reason) for b in bad] == [(7, "wrong_field_count"), (12, "wrong_field_count")]
    assert bad[1].row == {"id": "5", "note": "a", "_extra": "b"}
    assert any("Header in line 3" in note for note in table.notes)


def test_line_numbers_are_right_across_many_blocks(tmp_path):
    lines = ["id,note"]
    expected = {}
    for i in range(60_000):
        if i % 997 == 0:
            lines.append("bad,row,here")
        expected[str(i)] = len(lines) + 1
        lines += [f'{i},"first', 'second"'] if i % 1009 == 0 else [f"{i},{'x' * 100}"]
    frame, bad, _ = read(write(tmp_path, "\n".join(lines) + "\n"))
    assert dict(frame.select("id", "__line").rows()) == expected
    assert [lines[b.line - 1] for b in bad] == ["bad,row,here"] * 61


def test_a_stray_quote_costs_its_own_row_only(tmp_path):
    rows = "".join(f"{i},text {i},z\n" for i in range(20))
    frame, bad, _ = read(write(tmp_path, "id,note,end\n" + rows + '77,"open,z\n' + rows))
    assert frame.height == 40
    assert [(b.line, b.row["id"]) for b in bad] == [(22, "77")]


def test_a_quote_never_closed_in_a_long_file_is_survived(tmp_path):
    rows = "".join(f"{i},{'text' * 20},z\n" for i in range(60_000))
    frame, bad, table = read(write(tmp_path, "id,note,end\n" + rows + '77,"open,z\n' + rows))
    assert frame.height == 120_000
    assert [(b.line, b.reason) for b in bad] == [(60_002, "wrong_field_count")]
    assert frame["__line"].to_list() == [n for n in range(2, 120_003) if n != 60_002]
    assert any("never closed" in note for note in table.notes)


def test_empty_values_are_null_and_blank_rows_are_no_rows(tmp_path):
    frame, bad, _ = read(write(tmp_path, 'a,b,c\n1,"",3\n,,\n'))
    assert frame.rows() == [("1", None, "3", 2)] and not bad


def test_stray_delimiters_at_line_ends_do_no_harm(tmp_path):
    assert read(write(tmp_path, "a,b,\n1,2\n3,4\n"))[0].columns == ["a", "b", "__line"]
    assert read(write(tmp_path, "a,b\n1,2,\n3,4,\n"))[0].columns == ["a", "b", "column 3", "__line"]


def test_chunks_are_bounded_and_progress_ends_at_one(tmp_path):
    path = write(tmp_path, "id,note\n" + "".join(f"{i},{'x' * 500}\n" for i in range(30_000)))
    with open_table(path) as table:
        assert abs(table.rows_hint - 30_000) < 1500
        sizes = [chunk.frame.height for chunk in table.chunks(5_000)]
        assert table.position() == 1.0
    assert sum(sizes) == 30_000 and max(sizes) < 12_000


@pytest.mark.parametrize(
    ("name", "rows", "bad"),
    [
        ("csvkit/bad.csv", 1, ["wrong_field_count", "wrong_field_count"]),
        ("csvkit/null_byte.csv", 0, ["null_byte"]),
        ("csvkit/test_latin1.csv", 2, []),
        ("csvkit/test_utf16_big.csv", 2, []),
        ("csvkit/test_utf16_little.csv", 2, []),
        ("csvkit/test_utf8_bom.csv", 2, []),
        ("csv_spectrum/newlines_crlf.csv", 3, []),
        ("csv_spectrum/quotes_and_newlines.csv", 2, []),
        ("csv_spectrum/json.csv", 1, []),
        ("frictionless/blank-headers.csv", 2, []),
        ("frictionless/duplicate-headers.csv", 2, []),
        ("frictionless/invalid.csv", 0, ["wrong_field_count"] * 3),
        ("frictionless/encoding-issue-274.csv", 507, []),
        ("arabic_encodings/sample-arabic-1.txt", 2, []),
    ],
)
def test_awkward_delimited_files_are_read_with_nothing_lost(shared_data, name, rows, bad):
    frame, found, _ = read(shared_data / "nasty_inputs" / name)
    assert frame.height == rows
    assert [b.reason for b in found] == bad


# -- compression ----------------------------------------------------------------------------


def compressed(folder, kind):
    data = ARABIC.encode()
    if kind == "gz":
        return write(folder, gzip.compress(data), "f.csv.gz")
    if kind == "bz2":
        return write(folder, bz2.compress(data), "f.csv.bz2")
    if kind == "zst":
        return write(folder, pa.compress(data, codec="zstd", asbytes=True), "f.csv.zst")
    path = folder / "f.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("__MACOSX/._f.csv", "litter")
        archive.writestr("folder/f.csv", data if kind == "zip" else gzip.compress(data))
        if kind == "zip.gz":
            archive.writestr("readme.md", "x")
    return path


@pytest.mark.parametrize("kind", ["gz", "bz2", "zst", "zip", "zip.gz"])
def test_compressed_files_are_read_as_they_are(tmp_path, kind):
    frame, bad, _ = read(compressed(tmp_path, kind))
    assert frame.height == 59 and not bad


def test_a_zip_of_several_tables_lists_them_and_takes_a_name(tmp_path):
    path = tmp_path / "two.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "id,x\n1,2\n")
        archive.writestr("b.csv", "id,x\n3,4\n")
    with pytest.raises(InputError, match=r"2 tables[\s\S]*a\.csv\n  b\.csv"):
        open_table(path)
    assert read(path, layer="b.csv")[0]["id"].to_list() == ["3"]


def test_a_gzip_cut_off_says_so(tmp_path):
    data = gzip.compress(("id,x\n" + "".join(f"{i},{i * 7919 % 1000}\n" for i in range(300_000))).encode())
    with pytest.raises(InputError, match="damaged or cut off"):
        read(write(tmp_path, data[: len(data) // 2], "f.csv.gz"))


def test_a_decompression_bomb_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "FREE_UNPACKED", 1 << 20)
    bomb = gzip.compress(b"id,x\n" + b"1,2\n" * 2_000_000)
    with pytest.raises(InputError, match="decompression bomb"):
        read(write(tmp_path, bomb, "f.csv.gz"))


# -- what is no table ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("f.csv", b"", "empty"),
        ("f.csv", b"\n \n\n", "only blanks"),
        ("f.csv", b"%PDF-1.7 xx", "PDF"),
        ("f.csv", b"<!DOCTYPE html><html><title>Sign in</title>", r'web page \("sign in"\)'),
        ("f.csv", b"\x89PNG\r\n\x1a\n", "an image"),
        ("f.csv", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        ("f.csv", bytes(range(256)) * 40, "binary file"),
        ("f.csv", b"1,2\n3,4\n", "no header row"),
        ("f.xlsx", b"PK\x03\x04 not a zip", "damaged or cut-off zip"),
        ("f.parquet", b"PAR1 not parquet PAR1", "damaged or cut-off Parquet"),
        ("f.json", b'[{"a": 1}, {"a": ', "ends in the middle|broken JSON"),
        ("f.json", b"[]", "no records"),
        ("f.json", b'{"a": tru', "broken JSON"),
        ("f.xml", b"<service_requests><request><a>1</a>", "broken XML"),
        ("f.xml", b"<invoice><a>1</a></invoice>", "root is <invoice>"),
        ("f.gpkg", b"SQLite format 3\x00 rubbish", "cannot be read as map data"),
        ("f.shx", b"\x00\x00\x27\x0a rubbish", "side file"),
    ],
)
def test_what_is_no_table_is_refused_with_the_reason(tmp_path, name, content, message):
    with pytest.raises(InputError, match=message):
        read(write(tmp_path, content, name))


def test_a_folder_and_a_missing_file_are_named(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        open_table(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        open_table(tmp_path / "none.csv")


def test_xml_with_entities_is_not_read(tmp_path):
    text = (
        '<!DOCTYPE x [<!ENTITY a "b">]><service_requests><request><id>&a;</id></request></service_requests>'
    )
    with pytest.raises(InputError, match="entities"):
        read(write(tmp_path, text, "f.xml"))


# -- spreadsheets -------------------------------------------------------------------------


@pytest.fixture
def workbook(tmp_path):
    book = openpyxl.Workbook()
    book.active.title = "غلاف"
    book.active["A1"] = "كشف"
    sheet = book.create_sheet("بلاغات")
    sheet.append(["كشف البلاغات لشهر مايو"])
    sheet.merge_cells("A1:F1")
    sheet.append([])
    sheet.append(["رقم", "الموقع", None, "تاريخ", "عدد", "خليط"])
    sheet.append([None, "احداثي X", "احداثي Y", None, None, None])
    sheet.merge_cells("B3:C3")
    for column in "ADEF":
        sheet.merge_cells(f"{column}3:{column}4")
    sheet.append([1001, 50.1, 26.4, dt.datetime(2024, 5, 1, 10, 30), 3, "x"])
    sheet.append([])
    sheet.append([1002, 50.2, 26.5, dt.datetime(2024, 5, 2), "#N/A", dt.datetime(2024, 5, 3)])
    sheet.append([1003, 50.3, 26.6, None, 5, 12345678])
    path = tmp_path / "f.xlsx"
    book.save(path)
    return path


def test_a_sheet_with_title_and_merged_header_keeps_types_and_row_numbers(workbook):
    frame, bad, table = read(workbook)
    assert frame.columns == [
        "رقم",
        "الموقع / احداثي X",
        "الموقع / احداثي Y",
        "تاريخ",
        "عدد",
        "خليط",
        "__line",
    ]
    assert frame["__line"].to_list() == [5, 7, 8]
    assert frame["تاريخ"][0] == dt.datetime(2024, 5, 1, 10, 30)
    assert frame["رقم"].dtype == pl.Int64
    assert frame["عدد"].to_list() == [3, None, 5]
    assert frame["خليط"].to_list() == ["x", "2024-05-03", "12345678"]
    assert not bad
    assert any("غلاف" in note for note in table.notes) and any("error" in note for note in table.notes)


def test_a_large_sheet_is_streamed_with_the_same_rows(tmp_path, monkeypatch):
    book = openpyxl.Workbook()
    book.active.append(["id", "when", "x"])
    for i in range(300):
        book.active.append([i, dt.datetime(2024, 1, 1, i % 24), i / 2])
    path = tmp_path / "f.xlsx"
    book.save(path)
    whole = read(path)[0]
    monkeypatch.setattr(spreadsheet, "STREAM_ABOVE", 0)
    streamed, bad, _ = read(path)
    assert not bad
    assert streamed["__line"].to_list() == whole["__line"].to_list() == list(range(2, 302))
    assert streamed["when"][5] == "2024-01-01 05:00:00" == str(whole["when"][5])
    assert streamed["id"][7] == "7"


def test_a_sheet_can_be_named_and_a_wrong_name_lists_the_sheets(workbook):
    with pytest.raises(InputError, match="'غلاف', 'بلاغات'"):
        open_table(workbook, sheet="مايو")
    assert read(workbook, sheet="2")[0].height == 3


@pytest.mark.parametrize(
    ("name", "rows", "bad"),
    [
        ("csvkit/test_skip_lines.xlsx", 4, 1),
        ("frictionless/issue-1024.xlsx", 48, 0),
        ("frictionless/issue-312.xlsx", 3, 1),
        ("frictionless/multiline-headers.xlsx", 1, 0),
    ],
)
def test_awkward_workbooks_are_read_with_nothing_lost(shared_data, name, rows, bad):
    frame, found, _ = read(shared_data / "nasty_inputs" / name)
    assert (frame.height, len(found)) == (rows, bad)


def test_an_empty_sheet_of_an_old_workbook_says_so(shared_data):
    with pytest.raises(InputError, match="is empty"):
        open_table(shared_data / "nasty_inputs/frictionless/merged-cells.xls")


def test_a_password_is_recognised(tmp_path):
    path = write(
        tmp_path, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), "f.xlsx"
    )
    with pytest.raises(InputError, match="password"):
        open_table(path)


# -- map formats ----------------------------------------------------------------------------


@pytest.fixture
def places():
    points = [shapely.Point(50.1, 26.4), shapely.Point(50.2, 26.5), None]
    return geopandas.GeoDataFrame(
        {"رقم": ["a", "b", "c"], "نوع": ["حفر الشوارع", "إنارة الطرق", "الأرصفة"]}, geometry=points, crs=4326
    )


@pytest.mark.parametrize("name", ["f.geojson", "f.gpkg", "f.fgb", "f.shp", "f.parquet", "f.geojson.gz"])
@pytest.mark.parametrize("crs", [4326, 32639])
def test_map_files_give_points_in_degrees(tmp_path, places, name, crs):
    frame = places.to_crs(crs)
    plain = tmp_path / name.removesuffix(".gz")
    if name.endswith(".parquet"):
        frame.to_parquet(plain)
    else:
        frame.to_file(plain, engine="pyogrio", **({"SPATIAL_INDEX": "NO"} if name == "f.fgb" else {}))
    if name.endswith(".gz"):
        plain = write(tmp_path, gzip.compress(plain.read_bytes()), name)
    rows, bad, table = read(plain)
    assert not bad
    assert rows["نوع"].to_list() == ["حفر الشوارع", "إنارة الطرق", "الأرصفة"]
    assert rows["__line"].to_list() == [1, 2, 3]
    assert np.allclose(rows["__lon"][:2], [50.1, 50.2]) and np.allclose(rows["__lat"][:2], [26.4, 26.5])
    assert rows["__lon"][2] is None
    assert (crs == 32639) == any("EPSG:32639" in note for note in table.notes)


def test_areas_stand_for_a_point_inside_and_that_is_said(tmp_path):
    area = shapely.Polygon([(50, 26), (51, 26), (51, 27), (50, 26)])
    path = tmp_path / "f.geojson"
    geopandas.GeoDataFrame({"a": [1]}, geometry=[area], crs=4326).to_file(path)
    frame, _, table = read(path)
    assert area.contains(shapely.Point(frame["__lon"][0], frame["__lat"][0]))
    assert any("representative point" in note for note in table.notes)


@pytest.mark.parametrize(("encoding", "cpg"), [("cp1256", False), ("utf-8", False), ("cp1256", True)])
@pytest.mark.parametrize("zipped", [False, True])
def test_arabic_in_a_dbf_is_read_with_and_without_a_cpg(tmp_path, places, encoding, cpg, zipped):
    folder = tmp_path / "shape"
    folder.mkdir()
    places.iloc[:2].to_file(folder / "f.shp", encoding=encoding)
    stated = folder / "f.cpg"
    if not cpg:
        stated.unlink(missing_ok=True)
        dbf = bytearray((folder / "f.dbf").read_bytes())
        dbf[29] = 0
        (folder / "f.dbf").write_bytes(dbf)
    path = folder / "f.shp"
    if zipped:
        path = tmp_path / "f.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for part in folder.iterdir():
                archive.write(part, f"shape/{part.name}")
    frame, _, table = read(path)
    assert frame["نوع"].to_list() == ["حفر الشوارع", "إنارة الطرق"]
    assert table.format == "shp"


def test_metres_without_a_reference_system_are_refused(tmp_path, places):
    places.iloc[:2].to_crs(32639).to_file(tmp_path / "f.shp")
    (tmp_path / "f.prj").unlink()
    with pytest.raises(InputError, match="coordinate reference system"):
        read(tmp_path / "f.shp")


def test_degrees_without_a_reference_system_are_taken_and_said(tmp_path, places):
    places.iloc[:2].to_file(tmp_path / "f.shp")
    (tmp_path / "f.prj").unlink()
    frame, _, table = read(tmp_path / "f.shp")
    assert frame["__lon"].to_list() == pytest.approx([50.1, 50.2])
    assert any("assumed" in note for note in table.notes)


def test_a_geodatabase_with_many_layers_lists_them(shared_data):
    path = shared_data / "nasty_inputs/fiona/testopenfilegdb.gdb.zip"
    with pytest.raises(InputError, match=r"37 layers.*--layer"):
        open_table(path)
    frame, _, table = read(path, layer="point")
    assert frame.height == 5 and table.format == "gdb"


def test_date_times_of_a_map_file_keep_their_offset(shared_data):
    assert (
        read(shared_data / "nasty_inputs/fiona/test_tz.geojson")[0]["test"][0] == "2015-04-22T00:00:00+07:00"
    )


def test_a_shapefile_without_its_index_says_what_is_missing(shared_data):
    with pytest.raises(InputError, match=r"\.shx file"):
        open_table(shared_data / "nasty_inputs/pyshp/latin1.shp")


def test_parquet_without_geometry_keeps_its_types(tmp_path):
    path = tmp_path / "f.parquet"
    when = pl.Series([dt.datetime(2024, 5, 1, 7)]).dt.replace_time_zone("Asia/Riyadh")
    pl.DataFrame({"id": [1], "when": when, "nested": [{"a": 1}], "n": pl.Series([2.5])}).write_parquet(path)
    frame, _, _ = read(path)
    assert frame["when"].dtype == pl.Datetime("us", "UTC")
    assert frame["when"][0] == dt.datetime(2024, 5, 1, 4, tzinfo=dt.UTC)
    assert frame.select("id", "nested", "n").rows() == [(1, '{"a": 1}', 2.5)]


# -- Open311 and JSON --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "format_name", "rows"),
    [
        ("cologne/sagsuns.json", "open311-json", 50),
        ("cologne/sags-uns-archiv_requests.json", "open311-json", 50),
        ("cologne/sagsuns-a-1627.json", "open311-json", 1),
        ("chicago/requests_extended.json", "open311-json", 50),
        ("bensheldon_fixtures/service_requests.json", "open311-json", 2),
        ("bensheldon_fixtures/requests_many.xml", "open311-xml", 2),
        ("bensheldon_fixtures/requests_single.xml", "open311-xml", 1),
        ("codeforamerica_ruby_fixtures/service_requests.xml", "open311-xml", 2),
        ("oiva_node_mocks/service-request.xml", "open311-xml", 1),
    ],
)
def test_open311_answers_of_real_servers_are_read(shared_data, name, format_name, rows):
    frame, bad, table = read(shared_data / "open311" / name)
    assert (table.format, frame.height, bad) == (format_name, rows, [])
    assert frame["service_request_id"].null_count() == 0


def test_open311_codes_keep_zeros_nulls_stay_null_and_extensions_get_dotted_names(shared_data):
    cologne = read(shared_data / "open311/cologne/sagsuns.json")[0]
    assert cologne["service_code"][0] == "017" and cologne["zipcode"].null_count() == 50
    chicago = read(shared_data / "open311/chicago/requests_extended.json")[0]
    assert set(chicago["extended_attributes.channel"].unique()) == {"phone", "open311", "web"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("codeforamerica_ruby_fixtures/get_service_request_not_found.xml", "404 Service request not found"),
        ("oiva_node_mocks/boston-err-submitrequest-base_is_duplicate.xml", "base is a duplicate"),
        ("codeforamerica_ruby_fixtures/403.xml", "403 Forbidden"),
        ("codeforamerica_ruby_fixtures/services.xml", "services"),
        ("bensheldon_fixtures/service_list.json", "services"),
        ("oiva_node_mocks/dc-services-S0301.xml", "definition"),
        ("oiva_node_mocks/discovery-dc.xml", "description of itself"),
        ("codeforamerica_ruby_fixtures/service_requests_empty.xml", "no records"),
    ],
)
def test_other_open311_documents_are_refused_by_name(shared_data, name, message):
    with pytest.raises(InputError, match=message):
        read(shared_data / "open311" / name)


def test_json_in_its_other_shapes_is_a_table(tmp_path):
    records = [{"id": i, "at": {"lat": 26.4}, "note": "سطر" * 200} for i in range(900)]
    wrapped = write(tmp_path, json.dumps({"service_requests": {"request": records}}), "a.json")
    lines = write(tmp_path, "\n".join(json.dumps(r, ensure_ascii=False) for r in records), "b.json")
    listed = write(tmp_path, json.dumps(records, ensure_ascii=False), "c.json")
    for path in (wrapped, lines, listed):
        frame, bad, _ = read(path)
        assert frame.height == 900 and not bad
        assert frame.row(7, named=True) == {
            "id": "7", "at.lat": "26.4", "note": "سطر" * 200, "__line": 8
        }  # fmt: skip


def test_numbers_with_leading_zeros_as_in_the_specification_are_read(tmp_path):
    text = (
        '[{"service_request_id": 63, "service_code": 006},\n{"service_request_id": 2, "service_code": 010}]'
    )
    assert read(write(tmp_path, text, "f.json"))[0]["service_code"].to_list() == ["006", "010"]


def test_a_broken_json_line_is_one_bad_row(tmp_path):
    frame, bad, _ = read(write(tmp_path, '{"id": 1}\n{"id": \n{"id": 3}\n', "f.jsonl"))
    assert frame["id"].to_list() == ["1", "3"]
    assert [(b.line, b.reason) for b in bad] == [(2, "unreadable_record")]


def test_a_server_error_in_json_is_quoted(tmp_path):
    text = '{"errors": [{"code": 400, "description": "span exceeds 90 days"}]}'
    with pytest.raises(InputError, match="400 span exceeds 90 days"):
        read(write(tmp_path, text, "f.json"))


def test_the_digest_of_a_file_is_its_sha256(tmp_path):
    path = write(tmp_path, b"abc", "f.csv")
    assert file_digest(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
