"""./rasd open311 serve and ./rasd keys: what other systems may ask and file."""

from __future__ import annotations

from typing import Annotated

import typer

from commands.console import Json, emit, ready, say
from data.access import Place
from geo.errors import ConfigError, InputError


def serve_command(
    territory: Annotated[
        list[str] | None, typer.Option("--territory", help="Code of a territory to serve; all when left out.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port of the service.")] = 8502,
    address: Annotated[
        str | None, typer.Option(help="Address to listen on; RASD_ADDRESS when left out.")
    ] = None,
) -> None:
    """Answer Open311 GeoReport v2 until stopped; RASD_OPEN311 says what is allowed."""
    import uvicorn

    from data.settings import settings
    from service.app import ROOT, Rules, create_app
    from service.doors import open_doors

    chosen = settings()
    if chosen.open311 == "off":
        raise ConfigError(
            "RASD_OPEN311 is off: set it to read (everybody may read reports, without names and notes) or to "
            "write (systems with a key may file too). See docs/open311.md."
        )
    ready()
    doors = open_doors(tuple(territory or ()))
    rules = Rules(chosen.open311 == "write", chosen.open311_notes, chosen.open311_a_minute, chosen.proxies)
    where = address or chosen.address
    served = ", ".join(each.code for each in doors.served)
    say(
        f"http://{where}:{port}{ROOT}/services.json ({'read and write' if rules.write else 'read'}): {served}"
    )
    uvicorn.run(
        create_app(doors, rules),
        host=where,
        port=port,
        log_level="warning",
        access_log=False,
        # Who calls is told by RASD_PROXIES, in one place for pages and service.
        proxy_headers=False,
        server_header=False,
        limit_concurrency=200,
    )


def add_command(
    label: Annotated[str, typer.Argument(help="What the other system is called.")],
    territory: Annotated[str, typer.Option("--territory", help="Code of the territory it may file in.")],
    area: Annotated[
        list[str] | None,
        typer.Option(help="Only in this area, as level:code or level:name; more than once for several."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key and show it, once. The system files with it as a call centre of its own."""
    from data import keys

    places = _places(territory, area or [])
    with ready().begin() as conn:
        key = keys.add(conn, label, places)
    if as_json:
        emit({"label": label, "key": key})
        return
    say(key, style="bold")
    say("This is shown once and kept as a digest only: hand it over by a safe way.")


def list_command(as_json: Json = False) -> None:
    """Keys in use, then those that were ended."""
    from data import keys

    with ready().connect() as conn:
        found = keys.listed(conn)
    if as_json:
        emit({"keys": [{name: getattr(key, name) for name in key.__slots__} for key in found]})
        return
    for key in found:
        until = f", ended {key.ended_at:%Y-%m-%d}" if key.ended_at else ""
        say(
            f"{key.label}: {', '.join(key.places)}; digest {key.begins}…, since {key.created_at:%Y-%m-%d}{until}"
        )
    if not found:
        say("There are no keys. Make one: ./rasd keys add LABEL --territory CODE")


def end_command(label: Annotated[str, typer.Argument(help="What the other system is called.")]) -> None:
    """End a key: nothing more is taken from it; what it filed stays."""
    from data import keys

    with ready().begin() as conn:
        keys.end(conn, label)
    say(f"The key {label} has ended.")


def _places(territory: str, areas: list[str]) -> list[Place]:
    from data.vocabulary import LEVELS

    places = []
    for area in areas:
        level, _, name = area.partition(":")
        if level not in LEVELS or not name.strip():
            raise InputError(
                f"--area {area!r}: write it as level:code, the level one of {', '.join(LEVELS)}."
            )
        places.append(Place(territory, level, name.strip()))
    return places or [Place(territory)]


def register(app: typer.Typer) -> None:
    service = typer.Typer(no_args_is_help=True, help="Answer other systems: Open311 GeoReport v2.")
    service.callback()(lambda: None)  # or a lone command would have no name
    service.command("serve", epilog="Example: RASD_OPEN311=read ./rasd open311 serve --port 8502")(
        serve_command
    )
    app.add_typer(service, name="open311")
    group = typer.Typer(no_args_is_help=True, help="Keys with which other systems file reports.")
    group.command("add", epilog="Example: ./rasd keys add city-app --territory my-city")(add_command)
    group.command("list", epilog="Example: ./rasd keys list")(list_command)
    group.command("end", epilog="Example: ./rasd keys end city-app")(end_command)
    app.add_typer(group, name="keys")
