"""./rasd campaign: where to send the teams, what became of it. Each part is a module of its own."""

from __future__ import annotations

import typer

from commands import campaign_axes, campaign_export, campaign_plans, campaign_propose

#: Modules with ``register(group)``, in the order of ``./rasd campaign --help``.
PARTS = (campaign_propose, campaign_axes, campaign_plans, campaign_export)

group = typer.Typer(
    no_args_is_help=True,
    help="Campaigns: propose areas for teams, save, hand out, and measure what they changed.",
)
for part in PARTS:
    part.register(group)


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="campaign")
