"""What every command shares: two consoles, sentences, JSON, progress bars, the store.

Sentences for people go to standard output, progress and errors to standard error; with
``--json`` a command prints one JSON object and nothing else.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from sqlalchemy import Connection, Engine

from data import database, schema, territories
from geo.errors import InputError
from geo.remarks import Remark
from views.remarks import sentence
from views.words import Words

out = Console()
err = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for machines.")]
TerritoryOption = Annotated[
    str | None,
    typer.Option(
        "--territory", help="Code of the territory; found from the data, or the only one, when left out."
    ),
]


def say(line: str, style: str | None = None) -> None:
    """One line for people, as long as it is; whatever a file brought in it is plain text."""
    out.print(escape(line), style=style, highlight=False, soft_wrap=True)


def emit(values: dict[str, Any]) -> None:
    print(json.dumps(values, ensure_ascii=False, indent=2, default=str))


@contextlib.contextmanager
def bar(title: str, quiet: bool) -> Iterator[Callable[..., None]]:
    """A progress bar on standard error; the callback takes (share done, rows so far or nothing)."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]}"),
        TimeElapsedColumn(),
        console=err,
        disable=quiet or not err.is_terminal,
        transient=True,
    ) as progress:
        task = progress.add_task(escape(title), total=1.0, rows="")
        yield lambda share, rows=0: progress.update(
            task, completed=share, rows=f"{rows:,} rows" if rows else ""
        )


def ready() -> Engine:
    """The engine of a store with the schema of this version."""
    engine = database.engine()
    with engine.connect() as conn:
        schema.require_current(conn)
    return engine


def the_territory(conn: Connection, code: str | None) -> territories.Territory:
    """The territory that is named, or the only one there is."""
    known = territories.all_territories(conn)
    found = [t for t in known if code is None or t.code == code]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(t.code for t in known) or "none yet"
    if code is None:
        raise InputError(f"Name the territory with --territory; the store holds: {listed}.")
    raise InputError(f"There is no territory {code!r} in the store; it holds: {listed}.")


def say_remarks(remarks: Iterable[Remark]) -> None:
    """What was decided automatically and what to know, one line each."""
    words = Words("en")
    for remark in remarks:
        say(f"{'!' if remark.caution else '-'} {sentence(words, remark)}")
