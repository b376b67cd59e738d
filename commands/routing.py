"""./rasd routing: who is responsible for what and where, and how well that is kept."""

from __future__ import annotations

import typer

from commands import routing_owners, routing_rules

#: Modules with ``register(group)``, in the order of ``./rasd routing --help``.
PARTS = (routing_rules, routing_owners)

group = typer.Typer(
    no_args_is_help=True,
    help="Routing: rules for who is responsible, the queue, misrouting, hand-over to entities.",
)
for part in PARTS:
    part.register(group)


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="routing")
