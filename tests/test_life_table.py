"""The document of the life cycle is what the module says."""

from __future__ import annotations

from pathlib import Path

from commands.life_table import life_cycle, life_rows
from data.life import TRANSITIONS, Role

ROOT = Path(__file__).resolve().parent.parent


def test_the_life_cycle_document_is_current_with_every_step_and_role() -> None:
    said = (ROOT / "docs" / "life-cycle.md").read_text(encoding="utf-8")
    assert said == life_cycle(), "run: ./rasd life --write docs/life-cycle.md"
    assert [row["action"] for row in life_rows()] == [step.action.name.lower() for step in TRANSITIONS]
    for role in Role:
        assert role.replace("_", " ") in said
