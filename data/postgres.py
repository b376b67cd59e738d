"""The machine's own PostgreSQL + PostGIS: where it is, who runs it, and with what settings.

Looks in the folders where Debian, Ubuntu, Fedora and Homebrew put the programs, newest
first, and takes only one that has PostGIS. PostgreSQL refuses to run as root, so root
lends the cluster to an unprivileged account. Settings follow the memory that this
machine or container really has; everything that keeps data safe stays on.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from geo.errors import StoreError

_PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
_PROGRAMS = ("initdb", "pg_ctl", "postgres")
_MB = 1024 * 1024


@dataclass(frozen=True)
class Binaries:
    """One installed PostgreSQL server."""

    folder: Path
    major: int
    postgis: bool

    def program(self, name: str) -> str:
        return str(self.folder / name)


@dataclass(frozen=True)
class Account:
    """The operating-system user who runs the server."""

    name: str
    uid: int
    gid: int

    def run(self, command: list[str], *, cwd: Path, timeout: float) -> subprocess.CompletedProcess[str]:
        """Run ``command`` as this account, with an environment that cannot lead it astray.

        PGDATA, PGHOST and the like of the caller are dropped; the caller's open files
        are not passed on, so that the server never holds one of our locks.
        """
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(cwd),
            "LC_ALL": "C",
        }
        lent = os.geteuid() == 0 and self.uid != 0
        return subprocess.run(  # noqa: S603  (a list of arguments, no shell)
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
            user=self.uid if lent else None,
            group=self.gid if lent else None,
            extra_groups=[] if lent else None,
            umask=0o077,
        )

    def can_enter(self, folder: Path) -> bool:
        """Whether this account may pass through ``folder``, asked of the system itself."""
        return (
            self.run(["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)], cwd=Path("/"), timeout=30).returncode
            == 0
        )


def current_account() -> Account:
    """The user of this process.

    Raises
    ------
    StoreError
        The user has no name in the system's user list, which PostgreSQL asks for.
    """
    try:
        return _account(pwd.getpwuid(os.geteuid()))
    except KeyError:
        raise StoreError(
            f"The user number {os.geteuid()} has no name on this machine, and PostgreSQL refuses to run "
            "for such a user. Run as a named user, or set DATABASE_URL to a database that is there."
        ) from None


def server_account(folder: Path) -> Account:
    """Who runs the server whose data is in ``folder``: its owner; for root, a lesser user.

    Raises
    ------
    StoreError
        The folder belongs to somebody else, or root finds no unprivileged account.
    """
    me = current_account()
    if folder.exists():
        owner = folder.stat().st_uid
        if me.uid not in (0, owner):
            raise StoreError(
                f"The cluster in {folder} belongs to user {user_name(owner)}, and you are {me.name}. "
                "Run as that user, or name a folder of your own in RASD_HOME."
            )
        if owner != 0:
            return _account(pwd.getpwuid(owner))
    if me.uid != 0:
        return me
    for name in ("postgres", "nobody"):
        try:
            return _account(pwd.getpwnam(name))
        except KeyError:
            continue
    raise StoreError(
        "PostgreSQL refuses to run as root, and there is neither a user 'postgres' nor 'nobody' to lend "
        "it to. Run Rasd as an ordinary user."
    )


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def user_name(uid: int) -> str:
    """The name of a user, or its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def installed(extra: Path | None = None) -> list[Binaries]:
    """All PostgreSQL servers found, those with PostGIS first, then the newest first.

    ``extra`` is one more folder to look in (the setting ``RASD_PG_BIN``); when it is
    given, only it counts.
    """
    folders: list[Path] = []
    if extra is not None:
        folders = [extra]
    else:
        for pattern in _PLACES:
            folders += sorted(Path("/").glob(pattern[1:]))
        found = shutil.which("postgres")
        if found:
            folders.append(Path(found).resolve().parent)
    servers: dict[Path, Binaries] = {}
    for folder in folders:
        if all(os.access(folder / name, os.X_OK) for name in _PROGRAMS):
            major = _major(folder)
            if major is not None:
                servers[folder.resolve()] = Binaries(folder, major, _has_postgis(folder, major))
    return sorted(servers.values(), key=lambda s: (s.postgis, s.major), reverse=True)


def choose(servers: list[Binaries], made_by: int | None) -> Binaries:
    """The server to use; ``made_by`` is the major version of data that is already there.

    Raises
    ------
    StoreError
        None fits; the message holds the line to type.
    """
    fitting = [s for s in servers if s.postgis and made_by in (None, s.major)]
    if fitting:
        return fitting[0]
    if made_by is not None:
        raise StoreError(
            f"The data was made by PostgreSQL {made_by}, which is not here with PostGIS "
            f"(found: {_listing(servers)}). Install it: {install_line(made_by)}. To begin with an empty "
            "store in its place, name a new folder in RASD_HOME."
        )
    raise StoreError(
        f"PostgreSQL with PostGIS was not found (found: {_listing(servers)}). "
        f"Install it: {install_line(servers[0].major if servers else None)}. "
        "Or set DATABASE_URL to a database that has PostGIS."
    )


def install_line(major: int | None) -> str:
    """What to type to get PostgreSQL + PostGIS on this machine."""
    if sys.platform == "darwin":
        return "brew install postgresql@17 postgis"
    if shutil.which("apt-get"):
        if major is None:
            return "sudo apt-get install postgresql postgresql-postgis"
        return f"sudo apt-get install postgresql-{major} postgresql-{major}-postgis-3"
    return "the PostgreSQL server and PostGIS packages of your system"


def _listing(servers: list[Binaries]) -> str:
    if not servers:
        return "no PostgreSQL server"
    return ", ".join(f"{s.major} {'with' if s.postgis else 'without'} PostGIS in {s.folder}" for s in servers)


def _ask(command: list[str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
        )
    except OSError:
        return ""  # not there or not runnable: the same as not installed
    return done.stdout.strip() if done.returncode == 0 else ""


def _major(folder: Path) -> int | None:
    found = re.search(r"\) (\d+)", _ask([str(folder / "postgres"), "--version"]))
    return int(found.group(1)) if found else None


def _has_postgis(folder: Path, major: int) -> bool:
    shares = [Path(f"/usr/share/postgresql/{major}")]
    told = _ask([str(folder / "pg_config"), "--sharedir"])
    if told:
        shares.insert(0, Path(told))
    return any((share / "extension" / "postgis.control").is_file() for share in shares)


def is_server(pid: int) -> bool:
    """Whether the process ``pid`` is a PostgreSQL server, asked of ``ps`` (for macOS)."""
    return Path(_ask(["ps", "-p", str(pid), "-o", "comm="])).name == "postgres"


def memory_bytes() -> int:
    """Memory this process may count on: the machine's, or its container's if less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(limit).read_text().strip()
        except OSError:
            continue  # this kernel has the other layout, or none
        if text.isdigit():
            total = min(total, int(text))
    return total


def server_settings(socket: Path, *, durable: bool = True) -> dict[str, str]:
    """The settings of the private cluster, as text for its configuration file.

    ``durable=False`` is for tests only: a crash of the machine may then lose the data.
    """
    memory = memory_bytes()
    buffers = max(64, min(1024, int(memory * 0.15) // _MB))
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(socket),
        "port": "5432",  # no TCP: this only names the socket file
        "max_connections": "60",
        "shared_buffers": f"{buffers}MB",
        "effective_cache_size": f"{max(128, memory // 2 // _MB)}MB",
        "maintenance_work_mem": f"{max(64, min(256, memory // 16 // _MB))}MB",
        "work_mem": f"{max(8, min(64, memory // 64 // _MB))}MB",
        "jit": "off",
        "random_page_cost": "1.1",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "max_wal_size": "4GB",
        "wal_compression": "on",
        "checkpoint_timeout": "15min",
        "max_parallel_workers_per_gather": "2",
        "max_parallel_maintenance_workers": "2",
        "TimeZone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] ",
        "dynamic_shared_memory_type": _shared_memory_type(),
    }
    if not durable:
        settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    return settings


def _shared_memory_type() -> str:
    """Containers often have a /dev/shm of 64 MB, on which parallel queries then fail."""
    if sys.platform != "linux":
        return "posix"
    try:
        room = os.statvfs("/dev/shm")  # noqa: S108
    except OSError:
        return "mmap"
    return "posix" if room.f_frsize * room.f_blocks >= 512 * _MB else "mmap"
