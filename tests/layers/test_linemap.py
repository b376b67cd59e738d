"""Lines and stops of the map: packed as they are, and refused where they make no sense."""

from __future__ import annotations

import base64

import pytest

from layers.linemap import Stop, StopClass, StopLayer, Track, TrackClass, TrackLayer, pack_stops, pack_tracks

ROAD = TrackClass("chosen", "Chosen", "#0b1613", "#f6fbf9", 5.0)
LINE = ((50.1, 26.4), (50.10002, 26.4), (50.10002, 26.39999))


def varints(text: str) -> list[int]:
    out, value, shift = [], 0, 0
    for byte in base64.b64decode(text):
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            out.append(value)
            value = shift = 0
    return out


def signed(value: int) -> int:
    return value >> 1 ^ -(value & 1)


def test_a_line_is_packed_as_steps_of_a_hundred_thousandth_degree() -> None:
    packed = pack_tracks(TrackLayer("Roads", (Track(7, "Axis", 0, (LINE,), number=1),), (ROAD,)))
    lines, parts, of_first, points, *steps = varints(packed["lines"])
    assert (lines, parts, of_first, points) == (1, 1, 1, 3)
    assert [signed(v) for v in steps] == [5_010_000, 2, 0, 2_640_000, 0, -1]
    assert (packed["ids"], packed["numbers"], packed["kinds"]) == ([7], [1], [0])
    assert packed["legend"] == [["Chosen", "#0b1613", "#f6fbf9", 5.0, 0, 1]]


def test_stops_are_packed_with_their_words() -> None:
    kinds = (StopClass("a", "A", "#000000", "#ffffff", "dot"), StopClass("b", "B", "#000000", "#ffffff"))
    packed = pack_stops(StopLayer("Sites", (Stop(50.1, 26.4, 1, "Here", "3", ("late",)),), kinds))
    assert [signed(v) for v in varints(packed["points"])[1:]] == [5_010_000, 2_640_000]
    assert (packed["names"], packed["signs"], packed["notes"]) == (["Here"], ["3"], [["late"]])
    assert [row[4] for row in packed["legend"]] == [0, 1]


def test_no_line_and_no_stop_give_empty_layers() -> None:
    assert varints(pack_tracks(TrackLayer("", (), ()))["lines"]) == [0, 0]
    assert varints(pack_stops(StopLayer("", (), ()))["points"]) == [0]


@pytest.mark.parametrize(
    "tracks",
    [
        (Track(1, "", 0, (LINE,)), Track(1, "", 0, (LINE,))),  # one id twice
        (Track(1, "", 1, (LINE,)),),  # of no class
        (Track(1, "", 0, ((LINE[0],),)),),  # a point is no line
        (Track(1, "", 0, ()),),
    ],
)
def test_lines_that_cannot_be_drawn_are_refused(tracks: tuple[Track, ...]) -> None:
    with pytest.raises(ValueError, match=r"lines? "):
        TrackLayer("", tracks, (ROAD,))
