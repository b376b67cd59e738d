"""./rasd qgis: layers, styles and logins for QGIS."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import typer
from sqlalchemy import Connection

from commands.console import Json, emit, ready, say
from data import qgis
from data.qgis_layers import RESOLUTIONS
from geo.errors import InputError
from layers.palettes import DEFAULT, PALETTES
from layers.qml import Look, categorized, graduated

_COLOURS = PALETTES[DEFAULT]["light"]
_STATES = (
    ("overdue", "متأخر · Overdue", Look("#941714", "triangle", 2.4)),
    ("open", "مفتوح · Open", Look("#dc6408", "circle", 2.0)),
    ("closed", "مغلق · Closed", Look("#7b8794", "circle", 1.2, 0.7)),
)
_CAMPAIGNS = (
    ("proposed", "مقترحة · Proposed", Look("#89ccde", opacity=0.6)),
    ("approved", "معتمدة · Approved", Look("#4ea5cf", opacity=0.6)),
    ("running", "جارية · Running", Look("#267abf", opacity=0.6)),
    ("done", "منتهية · Done", Look("#79ab6e", opacity=0.6)),
    ("withdrawn", "مسحوبة · Withdrawn", Look("#b0b4b8", opacity=0.4)),
)


def refresh_command(as_json: Json = False) -> None:
    """Make the layers and their styles, or renew them: after an update, and for new cells."""
    with ready().begin() as conn:
        made = qgis.set_up(conn)
        styles = _styles(conn)
    if as_json:
        emit({"layers": list(made.layers), "shapes": made.shapes, "styles": styles})
        return
    say(f"Layers in the schema qgis: {', '.join(made.layers)}.")
    say(f"{made.shapes:,} outlines of cells added, {styles} styles saved.", style="bold")


def _styles(conn: Connection) -> int:
    """Save the style of every layer, its classes from the data as it is now; returns how many."""
    drawn = {
        "report": categorized("state", _STATES, "marker"),
        "campaign_area": categorized("status", _CAMPAIGNS, "fill"),
        "municipality": _by_number(conn, "municipality", "per_km2", "fill", 0.75),
        "incident": _by_number(conn, "incident", "reports", "marker", 0.9),
    }
    for resolution in RESOLUTIONS:
        name = f"hexagons_{resolution}"
        drawn[name] = _by_number(conn, name, "reports", "fill", 0.8)
    for layer, qml in drawn.items():
        qgis.save_style(conn, layer, "Rasd", qml, "Rasd")
    return len(drawn)


def _by_number(conn: Connection, layer: str, column: str, kind: str, opacity: float) -> str:
    limits = class_limits(qgis.values(conn, layer, column))
    looks = [
        Look(colour, size=1.6 + 0.5 * number, opacity=opacity)
        for number, colour in enumerate(_spread(len(limits) - 1))
    ]
    return graduated(column, limits, looks, "marker" if kind == "marker" else "fill")


def class_limits(values: np.ndarray, most: int = len(_COLOURS)) -> list[float]:
    """Limits of at most ``most`` classes that hold about as many values each: quantiles, once each.

    Counts are skewed, so that even steps would put nearly all into one class. There is always
    one class; the first begins at 0, or lower where a value is, and the last has no end, so
    that what grows later is still drawn.
    """
    low = min(0.0, float(values.min())) if len(values) else 0.0
    inner = np.quantile(values, np.arange(1, most) / most) if len(values) else []
    return [*sorted({low, *(float(f"{value:.4g}") for value in inner if value > low)}), math.inf]


def _spread(classes: int) -> Sequence[str]:
    """Colours of so many classes, from the lightest to the darkest."""
    steps = np.linspace(0, len(_COLOURS) - 1, classes) if classes > 1 else np.array([len(_COLOURS) // 2])
    return [_COLOURS[round(step)] for step in steps]


def grant_command(
    login: Annotated[str, typer.Argument(help="A user of Rasd that may see a whole territory.")],
    password: Annotated[
        bool, typer.Option(help="Ask for the login's password (from a pipe: its first line).")
    ] = True,
) -> None:
    """Let a user open the layers with a login of PostgreSQL of the same name."""
    secret: str | None = None
    if password:
        secret = (
            typer.prompt("Password", hide_input=True, confirmation_prompt=True)
            if sys.stdin.isatty()
            else sys.stdin.readline().rstrip("\n")
        )
        if len(secret or "") < 12:
            raise InputError("A password has at least 12 characters.")
    with ready().begin() as conn:
        qgis.grant(conn, login, secret)
    say(f"{login} may open the layers of its territories.")


def revoke_command(login: Annotated[str, typer.Argument(help="A login that may open the layers.")]) -> None:
    """Close the layers to a login."""
    with ready().begin() as conn:
        qgis.revoke(conn, login)
    say(f"The layers are closed to {login}.")


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Layers, styles and logins for QGIS.")
    group.command("refresh", epilog="Example: ./rasd qgis refresh")(refresh_command)
    group.command("grant", epilog="Example: ./rasd qgis grant huda")(grant_command)
    group.command("revoke", epilog="Example: ./rasd qgis revoke huda")(revoke_command)
    app.add_typer(group, name="qgis")
