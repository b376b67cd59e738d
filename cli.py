"""The command line, ``./rasd``: thin wrappers over the functions that the pages call too.

Every command prints sentences for people, or one JSON object with ``--json``; progress
goes to standard error. The exit code is 0 only if what was asked was done. The commands
are in ``commands/``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer
from rich.markup import escape
from sqlalchemy.exc import OperationalError

from commands import register
from commands.console import emit, err
from geo.errors import RasdError


def application(arguments: Sequence[str] = ()) -> typer.Typer:
    """The command that ``arguments`` begin with, or all commands."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_commands)  # or a lone command would have no name
    register(app, arguments)
    return app


def _commands() -> None:
    """Rasd: reports of visual distortion into PostGIS, hot spots and campaigns onto a map."""


def _fail(message: str, kind: str, code: int = 1) -> int:
    """Say what went wrong, to people and (with --json) to machines."""
    if "--json" in sys.argv:
        emit({"error": message, "kind": kind})
    err.print(f"rasd: {escape(message)}", style="red", highlight=False, soft_wrap=True)
    return code


def main() -> int:
    """Entry point: errors that a person can mend are one sentence, never a traceback."""
    try:
        return int(application(sys.argv[1:])(prog_name="./rasd", standalone_mode=False) or 0)
    except RasdError as error:
        return _fail(str(error), type(error).__name__)
    except OperationalError as error:
        reason = str(error.orig).strip().partition("\n")[0]
        return _fail(
            f"The database stopped answering ({reason}). Nothing of this command was written; run it again.",
            "StoreError",
        )
    except typer.Abort:
        return _fail("Stopped before it was done; nothing of this command was written.", "Abort", 130)
    except typer.TyperException as error:  # an option or argument that is not one
        if "--json" in sys.argv:
            emit({"error": error.format_message(), "kind": "UsageError"})
        error.show()  # type: ignore[attr-defined]  # every click error that reaches us has it
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
