"""GeoReport v2 answers as JSON and XML: services, definitions, requests, errors.

One document is built for both: XML as the specification names its elements, JSON with the
wrapping elements gone ("Spark" mapping). Times carry the territory's offset; what is not
known is null in JSON and an empty element in XML. Standard: Open311 GeoReport v2.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

from starlette.responses import Response

from data.open311 import OTHER, RequestRow, ServiceRow

FORMATS = {"json": "application/json; charset=utf-8", "xml": "text/xml; charset=utf-8"}
SIMULATED = "Simulated for a demonstration: nothing of this kind was reported."
#: What XML 1.0 cannot hold.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_QUANTITY = "Number above 0, in the element's unit"


def answer(format_name: str, names: Sequence[str], document: Any, status: int = 200) -> Response:
    """A document in one of FORMATS.

    Parameters
    ----------
    names : elements of XML from the root: for a list the name of the list and of a member,
        for an object its own name.
    document : a list of objects, or an object.
    """
    if format_name == "xml":
        root = ElementTree.Element(names[0])
        if isinstance(document, list):
            for member in document:
                _fill(ElementTree.SubElement(root, names[1]), member)
        else:
            _fill(root, document)
        body = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    else:
        body = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    return Response(body, status, media_type=FORMATS[format_name])


#: Lists within an object, and what XML calls their members.
_MEMBERS = {"attributes": "attribute", "values": "value", "endpoints": "endpoint", "formats": "format"}


def _fill(element: ElementTree.Element, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        child = ElementTree.SubElement(element, name)
        if isinstance(value, list):
            for member in value:
                inner = ElementTree.SubElement(child, _MEMBERS[name])
                if isinstance(member, Mapping):
                    _fill(inner, member)
                else:
                    inner.text = _text(member)
        elif value is not None:
            child.text = _text(value)


def _text(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return _FORBIDDEN.sub("\ufffd", text)


def error(
    format_name: str, status: int, description: str, headers: Mapping[str, str] | None = None
) -> Response:
    """An error as the specification wants it: a list of code and description, and the HTTP status."""
    found = answer(format_name, ("errors", "error"), [{"code": status, "description": description}], status)
    found.headers.update(headers or {})
    return found


def service(row: ServiceRow, arabic: bool) -> dict[str, Any]:
    """One member of the list of services."""
    name, other = (row.name_ar, row.name_en) if arabic else (row.name_en, row.name_ar)
    group = row.group_ar if arabic else row.group_en
    return {
        "service_code": row.code,
        "service_name": name,
        "description": f"{group}: {name}",
        "metadata": True,
        "type": "realtime",
        "keywords": f"{name}, {other}".replace("،", ","),
        "group": group,
    }


def definition(row: ServiceRow, arabic: bool) -> dict[str, Any]:
    """What may be told of a report of a service beyond its place and description."""
    severity = "الخطورة" if arabic else "Severity"
    quantity = "الكمية" if arabic else "Quantity"
    levels = (
        ("1 (أدنى)", "2", "3", "4", "5 (أعلى)") if arabic else ("1 (lowest)", "2", "3", "4", "5 (highest)")
    )
    return {
        "service_code": row.code,
        "attributes": [
            {
                "variable": True,
                "code": "severity",
                "datatype": "singlevaluelist",
                "required": False,
                "datatype_description": None,
                "order": 1,
                "description": severity,
                "values": [{"key": str(n), "name": level} for n, level in enumerate(levels, start=1)],
            },
            {
                "variable": True,
                "code": "quantity",
                "datatype": "number",
                "required": False,
                "datatype_description": _QUANTITY,
                "order": 2,
                "description": f"{quantity} ({row.unit})" if row.unit else quantity,
            },
        ],
    }


def request(row: RequestRow, arabic: bool, zone: ZoneInfo, simulated: bool) -> dict[str, Any]:
    """One report."""
    name = row.name_ar if arabic else row.name_en
    return {
        "service_request_id": row.number,
        "status": "open" if row.open else "closed",
        "status_notes": row.reason,
        "service_name": name or row.type,
        "service_code": row.code or OTHER,
        "description": row.description,
        "agency_responsible": row.agency_ar if arabic else row.agency_en,
        "service_notice": SIMULATED if simulated else None,
        "requested_datetime": _time(row.opened_at, zone),
        "updated_datetime": _time(row.updated_at, zone),
        "expected_datetime": _time(row.due_at, zone),
        "address": row.address_ar if arabic else row.address_en,
        "address_id": None,
        "zipcode": None,
        "lat": row.lat,
        "long": row.lon,
        "media_url": None,
    }


def _time(when: dt.datetime | None, zone: ZoneInfo) -> str | None:
    return None if when is None else when.astimezone(zone).isoformat(timespec="seconds")
