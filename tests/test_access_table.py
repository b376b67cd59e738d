"""The document on access says what the modules say, and every setting of sign-in is in it."""

from __future__ import annotations

from pathlib import Path

from commands.access_table import PLACES, access_rows, access_tables, rewritten
from data.life import TRANSITIONS, Role

DOCUMENT = (Path(__file__).resolve().parent.parent / "docs" / "access.md").read_text(encoding="utf-8")


def test_the_tables_of_the_access_document_are_current() -> None:
    assert rewritten(DOCUMENT) == DOCUMENT, "run: ./rasd access --write docs/access.md"
    assert access_tables() in DOCUMENT
    assert len(access_rows()) == len(TRANSITIONS) * len(Role) * len(PLACES)


def test_every_setting_and_command_of_access_is_in_the_document() -> None:
    for name in ("RASD_ACCESS", "RASD_USERS", "RASD_SESSION_HOURS", "RASD_OIDC_CLAIM", "RASD_PROXIES"):
        assert f"`{name}" in DOCUMENT, name
    for command in ("users add", "users list", "audit"):
        assert f"./rasd {command}" in DOCUMENT, command
