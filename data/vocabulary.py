"""Codes stored in the database for status, channel, precision and flags.

Codes are small integers so that a scan over a million reports stays short. They are
part of the schema: never renumber one, only add. The words for them live in the
language catalogues (``views/words``), under ``status.<name>`` and so on.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Status(IntEnum):
    """Where a report stands in its life. ``OPEN`` below says which count as open."""

    UNKNOWN = 0
    RECEIVED = 1
    UNDER_REVIEW = 2
    ASSIGNED = 3
    IN_PROGRESS = 4
    TREATED = 5
    QUALITY_REVIEW = 6
    CLOSED = 7
    REJECTED = 8
    DUPLICATE = 9
    REFERRED = 10
    ENFORCEMENT = 11
    REOPENED = 12
    DRAFT = 13
    CLASSIFIED = 14
    INSPECTED = 15  # the last that fits the four bits of data/columns.py


FINAL = frozenset({Status.CLOSED, Status.REJECTED, Status.DUPLICATE, Status.REFERRED})
OPEN = frozenset(set(Status) - FINAL)


class Channel(IntEnum):
    """Who sent the report."""

    UNKNOWN = 0
    CITIZEN = 1
    CALL_CENTRE = 2
    INSPECTOR = 3
    AI = 4
    STAFF = 5
    VOLUNTEER = 6


class Precision(IntEnum):
    """How well the place of a report is known."""

    NONE = 0  # nowhere: counted in totals only
    AREA = 1  # a named area, no usable point: counted in areas, never drawn
    POINT = 2


class Classified(IntEnum):
    """How the element of a report was found."""

    NONE = 0  # the source has another taxonomy and no counterpart here
    EXACT = 1
    ALIAS = 2
    FOLDED = 3  # equal after Arabic folding
    FUZZY = 4
    PROFILE = 5  # the profile's own table
    UNCLASSIFIED = 6  # a word of this taxonomy that was not recognised: for review


class Flag(IntFlag):
    """What is odd about a report that was kept (bits of ``report.flags``)."""

    SWAPPED_AXES = 1  # x and y were exchanged; repaired
    NEAR_BOUNDARY = 2  # just outside the study area
    DEFAULT_POINT = 4  # on a geocoder's default point: not a place
    ZERO_COORDINATES = 8  # 0, 0 was given: read as "no point"
    CLOSED_BEFORE_OPENED = 16
    UNREADABLE_DATE = 32  # a date other than the opening date could not be read
    AMBIGUOUS_DATE = 64  # day and month could be exchanged and the column did not settle it
    DUPLICATE_CONFLICT = 128  # two rows of one file with this key disagreed
    FUTURE_DATE = 256  # a date other than the opening date lies in the future
    UNKNOWN_STATUS = 512  # the status text is in no value map
    NO_LOCATION = 1024  # neither a point nor a known area
    OUT_OF_RANGE_VALUE = 2048  # severity or quantity could not be read
    IMPOSSIBLE_SEQUENCE = 4096  # its history has a step that data/life.py does not know


LEVELS = ("region", "amana", "governorate", "municipality", "district")
CELL_RESOLUTION = 12
