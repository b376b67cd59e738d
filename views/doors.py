"""Which page and which button is for which role: the one table of the screens.

It spares people doors that would not open. It protects nothing: what a role may read and
write is decided in the database (``data/rights.py``), and a test holds the two together.
"""

from __future__ import annotations

from data.life import Role
from data.rights import RIGHTS

_READERS = tuple(role for role in Role if role is not Role.CONTRACTOR)
_FILERS = RIGHTS["report"].insert
_PLANNERS = RIGHTS["campaign"].insert

#: Page code to roles, in the order of the switch.
PAGES: dict[str, tuple[Role, ...]] = {
    "hotspots": _READERS,
    "campaigns": _READERS,
    "inbox": tuple(Role),
    "case": tuple(Role),
    "report": _FILERS,
    "indicators": _READERS,
    "packs": _READERS,
    "routing": _READERS,
    "audit": RIGHTS["audit"].select,
}

#: Pages with a link in the switch; one report is opened from lists.
SHOWN = tuple(code for code in PAGES if code != "case")

#: What a button does, to roles.
DEEDS: dict[str, tuple[Role, ...]] = {
    "plan.save": _PLANNERS,
    "plan.step": _PLANNERS,  # approve, start, end, withdraw
    "visits.add": RIGHTS["visit"].insert,
    "download": tuple(role for role in _READERS if role is not Role.VIEWER),
    "rules": RIGHTS["routing_rule"].insert,
    "targets": RIGHTS["target"].insert,
    "pack.save": RIGHTS["pack"].insert,
}


def opens(role: Role, page: str) -> bool:
    """Whether a page is for a role."""
    return role in PAGES[page]


def may(role: Role, deed: str) -> bool:
    """Whether a button is for a role."""
    return role in DEEDS[deed]
