"""The folium side of the map: constant script, local files only, safe data."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from streamlit_folium import _get_header, _get_map_string, generate_js_hash

from layers import assets
from layers.hexmap import SCRIPTS, AreaLabel, base_map, feature_group, payload, script_json
from layers.outlines import Outlines


def hash_of(tile_url: str | None = None, tile_attribution: str | None = None) -> str:
    frame = base_map(tile_url, tile_attribution)
    frame.get_root().render()
    return generate_js_hash(_get_map_string(frame), "map")


def test_the_maps_script_is_the_same_on_every_run() -> None:
    assert hash_of() == hash_of()


def test_a_tile_server_makes_another_map() -> None:
    assert hash_of("https://tiles.example/{z}/{x}/{y}.png", "Example") != hash_of()


def test_no_address_of_another_host_is_in_the_map() -> None:
    frame = base_map()
    page = frame.get_root().render()
    links = {
        url
        for element in (frame, *frame._children.values())
        for _, url in [*getattr(element, "default_js", []), *getattr(element, "default_css", [])]
    }
    assert len(links) == 3 + len(SCRIPTS)
    assert all(link.startswith("../../app/static/") for link in links)
    assert "//" not in _get_header(frame).replace("http://www.w3.org", "")
    assert "cdn" not in _get_map_string(frame)
    assert page  # rendered


def words() -> dict:
    return {"legend": "</script><b>"}


def example(**changes: object) -> str:
    values: dict = {
        "cells": "AA==",
        "limits": {7: [1, 5]},
        "cell_km2": {7: 4.7},
        "outlines": Outlines((4,), "AA==", np.array([[26.0, 50.0]]), 4),
        "labels": [AreaLabel("</script><img src=x onerror=alert(1)>\u2028", 3, 2.0)],
        "minor": None,
        "minor_names": [],
        "bounds": [[26, 49], [27, 50]],
        "extent": [[25, 48], [28, 51]],
        "fit": "t",
        "words": words(),
        "language": "ar",
        "palette": "ember",
    }
    return payload(**(values | changes))


def test_data_is_plain_ascii_json_without_closing_tags() -> None:
    text = example()
    assert "</" not in text
    assert text.isascii()
    data = json.loads(text)
    assert data["areas"]["names"] == ["</script><img src=x onerror=alert(1)>\u2028"]
    assert data["rtl"] is True


def test_the_feature_group_hands_the_data_over_once() -> None:
    group = feature_group(example())
    group.add_to(base_map())
    group.get_root().render()
    script = group.get_root().script.render()
    assert len(re.findall(r"window\.rasd\.setData\(", script)) == 1


def test_cells_are_opaque_unless_tiles_lie_below() -> None:
    assert json.loads(example())["opacity"] == 1
    assert json.loads(example(over_tiles=True))["opacity"] < 1


def test_an_unknown_palette_is_a_bug_that_shows() -> None:
    with pytest.raises(KeyError):
        example(palette="none")


def test_script_json_round_trips() -> None:
    value = {"a": ["</script>", "ع", 1.5, None]}
    assert json.loads(script_json(value)) == value


@pytest.mark.parametrize("name", ["{{ 7 * 191 }}", "{% x", "{# x", "{{{%{#", "<!--<script>", "{{ 'x' }}"])
def test_a_name_is_never_template_code_or_markup(name: str) -> None:
    text = example(labels=[AreaLabel(name, 3, 2.0)])
    assert json.loads(text)["areas"]["names"] == [name]
    # As the page does it: first into the figure, whose rendering compiles the text again.
    group = feature_group(text)
    group.add_to(base_map())
    group.render()
    assert text in group.get_root().script.render()


def test_static_files_are_copied_once_and_their_address_follows_their_content(tmp_path) -> None:
    first = assets.prepare(tmp_path)
    assert {p.name for p in first} >= {"leaflet.js", "leaflet.css", "marker-icon.png"}
    assert assets.prepare(tmp_path) == []
    before = assets.frame_url("leaflet/leaflet.js", tmp_path)
    (tmp_path / "leaflet" / "leaflet.js").write_text("changed")
    assert assets.frame_url("leaflet/leaflet.js", tmp_path) != before
    assert len(assets.prepare(tmp_path)) == 1


def test_our_own_scripts_and_styles_name_no_other_host() -> None:
    for path in [*(assets.STATIC / "rasd").iterdir(), assets.STATIC.parent / ".streamlit" / "config.toml"]:
        assert not re.search(r"(https?:)?//[a-z]", re.sub(r"/\*.*?\*/", "", path.read_text("utf-8"))), path
