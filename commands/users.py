"""./rasd users: who may sign in, as what and where. Writes the users file and brings the store in line."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from commands.console import Json, emit, out, ready, say
from data import users
from data.life import Role
from data.users import User
from geo.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Users, their roles and areas, and their passwords.")

Login = Annotated[str, typer.Argument(help="The name to sign in with.")]
Stdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")
]


def _new_password(from_stdin: bool) -> str:
    """A new password's hash; asked for twice, or read, but never taken from the command line."""
    if from_stdin:
        return users.hashed(sys.stdin.readline().rstrip("\r\n"))
    return users.hashed(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


def _known() -> tuple[Path, list[User]]:
    path = users.users_path()
    return path, list(users.read_users(path))


def _one(known: list[User], login: str) -> int:
    name = users.folded(login)
    found = next((place for place, user in enumerate(known) if user.login == name), None)
    if found is None:
        raise InputError(f"The users file names no {name}. See ./rasd users list.")
    return found


def _write(path: Path, known: list[User], what: str, user: User, as_json: bool) -> None:
    """The store first: what it refuses is not written into the file either."""
    with ready().begin() as conn:
        users.keep(conn, user)
        unmatched = users.unmatched(conn, user)
        users.write_users(path, known)
    if as_json:
        emit({"login": user.login, "done": what, "file": str(path), "unmatched_areas": unmatched})
        return
    say(f"{user.login} ({user.role}): {what}, in {path}.")
    for area in unmatched:
        say(
            f"! The store has no area {area}, or several of that name (then give its code): it opens nothing."
        )


@app.command(
    epilog="Example: ./rasd users add sara --role inspector --area eastern-province/municipality/Dammam"
)
def add(
    login: Login,
    role: Annotated[Role, typer.Option(help="What they are.")],
    area: Annotated[
        list[str],
        typer.Option(
            "--area",
            help="Where they may look: a territory's code, territory/level/name, or * for all; may be repeated.",
        ),
    ],
    name: Annotated[str | None, typer.Option(help="Their name, as pages show it.")] = None,
    party: Annotated[
        str | None, typer.Option(help="Code of the party whose reports they see; contractors need one.")
    ] = None,
    identity: Annotated[
        str | None, typer.Option(help="What the identity provider says of them (RASD_OIDC_CLAIM).")
    ] = None,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="They sign in with an identity provider only.")
    ] = False,
    password_stdin: Stdin = False,
    as_json: Json = False,
) -> None:
    """Add a user; the password is asked for."""
    path, known = _known()
    user = users.made(User(login, name or login, role, tuple(area), party, identity))
    if any(other.login == user.login for other in known):
        raise InputError(f"There is a user {user.login} already. See ./rasd users list.")
    if not no_password:
        user = replace(user, password=_new_password(password_stdin))
    _write(path, [*known, user], "added", user, as_json)


@app.command("list", epilog="Example: ./rasd users list --json")
def list_(as_json: Json = False) -> None:
    """All users of the file; passwords are never shown."""
    path, known = _known()
    rows = [
        {
            "login": user.login,
            "name": user.name,
            "role": str(user.role),
            "areas": list(user.areas),
            "party": user.party,
            "identity": user.identity,
            "password": user.password is not None,
            "active": user.active,
        }
        for user in known
    ]
    if as_json:
        emit({"file": str(path), "users": rows})
        return
    if not rows:
        say(f"{path} names nobody yet. Make the first user: ./rasd users add --help")
        return
    table = Table(Column("login", no_wrap=True), "name", "role", "areas", "party", "signs in by", "active")
    for user in known:
        ways = [word for word, there in (("password", user.password), ("identity", user.identity)) if there]
        table.add_row(
            escape(user.login),
            escape(user.name),
            str(user.role),
            escape(", ".join(user.areas)),
            escape(user.party or ""),
            ", ".join(ways) or "identity",
            "yes" if user.active else "no",
        )
    out.print(table)


@app.command(epilog="Example: ./rasd users password sara")
def password(login: Login, password_stdin: Stdin = False, as_json: Json = False) -> None:
    """Give a user a new password; their sessions end."""
    path, known = _known()
    place = _one(known, login)
    known[place] = replace(known[place], password=_new_password(password_stdin))
    with ready().begin() as conn:
        users.end(conn, known[place].login)
    _write(path, known, "new password", known[place], as_json)


@app.command(epilog="Example: ./rasd users disable sara")
def disable(login: Login, as_json: Json = False) -> None:
    """Close an account and end its sessions; what the user did stays under their name."""
    path, known = _known()
    place = _one(known, login)
    known[place] = replace(known[place], active=False)
    _write(path, known, "disabled", known[place], as_json)


@app.command(epilog="Example: ./rasd users enable sara")
def enable(login: Login, as_json: Json = False) -> None:
    """Open a closed account again."""
    path, known = _known()
    place = _one(known, login)
    known[place] = replace(known[place], active=True)
    _write(path, known, "enabled", known[place], as_json)


def access(
    write: Annotated[
        Path | None,
        typer.Option("--write", help="Bring the tables of this file up to date (docs/access.md)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Who may do what: every step by role and area, every table and page by role."""
    from commands.access_table import access_rows, access_tables, rewritten

    if write is not None:
        write.write_text(rewritten(write.read_text(encoding="utf-8")), encoding="utf-8")
    if as_json:
        emit({"steps": access_rows(), "written": str(write) if write else None})
    elif write is not None:
        say(f"Wrote the tables of {write!s}.")
    else:
        say(access_tables())


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="users")
    parent.command("access", epilog="Example: ./rasd access --write docs/access.md")(access)
