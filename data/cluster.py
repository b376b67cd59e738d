"""The private cluster: a PostgreSQL + PostGIS server of Rasd's own, reached by a unix socket.

It lives in ``RASD_HOME/cluster``, listens on no network address, and lets in only the
user who owns it (and root), whom the kernel names (peer authentication). It survives
``kill -9``: a lock left by a dead process is recognised, and PostgreSQL replays its log.
Every process that uses it holds a shared lock (a *lease*) which the kernel releases even
after ``kill -9``; the last one to leave stops the server, unless ``keep()`` was asked for.
Caveat: the socket lies in /tmp when the path of ``RASD_HOME`` is too long for one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import URL

from data import postgres
from data.postgres import Account, Binaries
from geo.errors import StoreError

log = logging.getLogger(__name__)

ROLE = "rasd"
APP_ROLE = "rasd_app"  # what the pages connect as: it owns nothing (data/rights.py)
DATABASE = "rasd"
# Room for "/.s.PGSQL.5432.lock" within the 104 bytes that macOS allows (Linux: 108).
_SOCKET_FOLDER_BYTES = 80
_START_SECONDS = 600  # replaying a long log on a slow disk
_STOP_SECONDS = 120
_LOG_BYTES = 10_000_000
_ELSEWHERE = Path("/var/lib/rasd/clusters")


@dataclass(frozen=True)
class ClusterStatus:
    """What is known of a cluster without starting it."""

    running: bool
    pid: int | None
    kept: bool
    major: int | None
    folder: Path
    socket: Path
    url: str


class Lease:
    """A process's stake in a running cluster; the kernel ends it with the process."""

    def __init__(self, cluster: Cluster, descriptor: int) -> None:
        self._cluster = cluster
        self._descriptor: int | None = descriptor

    def release(self) -> bool:
        """Give the stake up; stops the cluster if it was the last. True if it stopped."""
        if self._descriptor is None:
            return False
        # Closed, not unlocked: a forked child may still hold the same lock.
        os.close(self._descriptor)
        self._descriptor = None
        return self._cluster.stop_if_unused()


class Cluster:
    """The private cluster of one ``RASD_HOME``. Making the object starts nothing."""

    def __init__(self, home: Path | str, *, durable: bool = True, pg_bin: Path | None = None) -> None:
        self.home = Path(os.path.abspath(home))
        self._durable = durable
        self._pg_bin = pg_bin

    def __repr__(self) -> str:
        return f"Cluster({str(self.home)!r})"

    # ---------------------------------------------------------------- places

    @property
    def folder(self) -> Path:
        """Where the data, the log and the socket are."""
        place = self.home / "cluster.place"
        if place.is_file():
            return Path(place.read_text(encoding="utf-8").strip())
        return self.home / "cluster"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log_file(self) -> Path:
        return self.folder / "postgres.log"

    @property
    def socket(self) -> Path:
        """The folder of the socket; a short one in /tmp where the path would be too long."""
        near = str(self.folder / "socket")
        # libpq reads a comma as "another host"; the server, a quote or @ as syntax.
        plain = not any(c in near for c in ",\"'\\@\n%")
        if plain and len(os.fsencode(near)) <= _SOCKET_FOLDER_BYTES:
            return Path(near)
        digest = hashlib.sha256(os.fsencode(near)).hexdigest()[:16]
        return Path(f"/tmp/rasd-{digest}")  # noqa: S108  (owner and mode are checked before use)

    def url(self, database: str = DATABASE) -> str:
        """SQLAlchemy's address of a database in this cluster."""
        address = URL.create(
            "postgresql+psycopg",
            username=ROLE,
            database=database,
            query={"host": str(self.socket), "port": "5432"},
        )
        return address.render_as_string(hide_password=False)

    # ------------------------------------------------------------ life cycle

    def start(self) -> str:
        """Start the server unless it runs, and return the address of its database.

        Makes the cluster when there is none. Safe to call from many processes at once:
        they take turns, and the later ones find it running. Without a lease nothing
        stops the server again but ``stop()``.

        Raises
        ------
        StoreError
            PostgreSQL or PostGIS is missing, the data is of another major version, the
            folder cannot be used, or the server does not come up; the message says
            what to do.
        """
        with self._locked():
            self._start()
        return self.url()

    def lease(self) -> Lease:
        """Start the server unless it runs, and hold it until ``release()`` or the process ends."""
        with self._locked():
            self._start()
            descriptor = self._open("cluster.users")
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        return Lease(self, descriptor)

    def keep(self) -> None:
        """Let the server run on when its last user leaves, until ``stop()``.

        Does nothing for a command inside ``./run``, which holds the cluster itself and
        is to stop it.
        """
        if os.environ.get("RASD_HELD") != str(self.home):
            os.close(self._open("cluster.keep"))

    def stop(self) -> bool:
        """Stop the server, whoever uses it. True if it ran."""
        if not self.home.is_dir():
            return False
        with self._locked():
            (self.home / "cluster.keep").unlink(missing_ok=True)
            return self._stop()

    def stop_if_unused(self) -> bool:
        """Stop the server if no process holds a lease and nobody asked to keep it."""
        if not self.home.is_dir():
            return False
        with self._locked():
            if (self.home / "cluster.keep").exists() or self.in_use():
                return False
            return self._stop()

    def destroy(self) -> None:
        """Stop the server and remove the cluster with all its data. For tests and benchmarks."""
        if not self.home.is_dir():
            return
        self.stop()
        for folder in (self.socket, self.folder):
            if folder.exists():
                shutil.rmtree(folder)
        (self.home / "cluster.place").unlink(missing_ok=True)

    def in_use(self) -> bool:
        """Whether some process, this one included, holds a lease."""
        descriptor = self._open("cluster.users")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def status(self) -> ClusterStatus:
        """What there is, without starting anything."""
        if self.home.exists():
            os.close(self._open("cluster.lock"))  # refuses, in words, what belongs to others
        running = self._answers()
        return ClusterStatus(
            running=running,
            pid=self._recorded_pid() if running else None,
            kept=(self.home / "cluster.keep").exists(),
            major=self._major(),
            folder=self.folder,
            socket=self.socket,
            url=self.url(),
        )

    # ---------------------------------------------------------------- locks

    def _open(self, name: str) -> int:
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            return os.open(self.home / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"The folder {self.home} cannot be used for Rasd's state ({error.strerror}). "
                "Name another one in RASD_HOME."
            ) from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time may start or stop this cluster."""
        descriptor = self._open("cluster.lock")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    # ---------------------------------------------------------------- start

    def _start(self) -> None:
        if self._answers():
            return
        account = postgres.server_account(self.data)
        binaries = postgres.choose(postgres.installed(self._pg_bin), self._major())
        self._place(account)
        if not (self.data / "PG_VERSION").exists():
            self._create(account, binaries)
        if self._came_up_meanwhile():
            return
        self._end_orphans()
        # PostgreSQL believes this file whenever any process of ours has the number in it,
        # which after a reboot, or in a restarted container, is often another program.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        self._prepare_socket(account)
        self._write_settings(account)
        if self.log_file.exists() and self.log_file.stat().st_size > _LOG_BYTES:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        done = self._pg_ctl(account, binaries, "start", "-l", str(self.log_file), seconds=_START_SECONDS)
        if done.returncode != 0:
            raise StoreError(
                f"The private cluster in {self.folder} did not start. The end of {self.log_file}:\n"
                f"{self._log_tail() or done.stderr.strip()}"
            )
        self._ensure_database()

    def _place(self, account: Account) -> None:
        """Make the cluster's folder, where its account can reach it."""
        fresh = not self.folder.exists()
        if account.uid != os.geteuid():
            # A folder that holds nothing but Rasd's things may be passed through (not read)
            # by the server's account; others, and the folders above, are not ours to open.
            if all(entry.name.startswith("cluster") for entry in self.home.iterdir()):
                self.home.chmod(stat.S_IMODE(self.home.stat().st_mode) | 0o111)
            if fresh and not account.can_enter(self.home):
                self._move_elsewhere()
        self._own(self.folder, account)
        if not account.can_enter(self.folder):
            raise StoreError(
                f"The user {account.name}, who runs the database because PostgreSQL refuses root, cannot "
                f"reach {self.folder}. Open the folders above it (chmod a+x), or name another in RASD_HOME."
            )

    def _move_elsewhere(self) -> None:
        """Root's closed folders (/root, a private mktemp) keep only a pointer to the cluster."""
        place = _ELSEWHERE / secrets.token_hex(8)
        for folder in (_ELSEWHERE.parent, _ELSEWHERE):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | 0o111)
        draft = self.home / "cluster.place.new"
        draft.write_text(f"{place}\n", encoding="utf-8")
        draft.replace(self.home / "cluster.place")
        log.warning("%s is closed to the user who runs the database; its data is in %s", self.home, place)

    @staticmethod
    def _own(folder: Path, account: Account) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != account.uid:
            os.chown(folder, account.uid, account.gid)
        folder.chmod(0o700)

    def _create(self, account: Account, binaries: Binaries) -> None:
        """initdb beside the final place, then rename: a kill half-way leaves nothing half."""
        draft = self.folder / "data.new"
        if draft.exists():
            shutil.rmtree(draft)
        self._own(draft, account)
        base = [binaries.program("initdb"), "-D", str(draft), "-U", ROLE, "--encoding=UTF8", "--auth=peer"]
        base += [] if self._durable else ["--no-sync"]
        # C.UTF-8 knows letters beyond ASCII; where a system lacks it, plain C.
        for locale in ("C.UTF-8", "C"):
            done = account.run([*base, f"--locale={locale}"], cwd=self.folder, timeout=300)
            if done.returncode == 0:
                break
            shutil.rmtree(draft)
            self._own(draft, account)
        else:
            raise StoreError(f"initdb could not make a cluster in {self.folder}: {done.stderr.strip()}")
        with (draft / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write("\ninclude 'rasd.conf'\n")
        draft.rename(self.data)

    def _write_settings(self, account: Account) -> None:
        settings = postgres.server_settings(self.socket, durable=self._durable)
        lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in settings.items()]
        self._write("rasd.conf", "# Written by Rasd at each start.\n" + "\n".join(lines) + "\n", account)
        # The kernel tells the server who is calling; these users may be either role.
        owners = {"root", postgres.current_account().name, postgres.user_name(self.home.stat().st_uid)}
        self._write("pg_hba.conf", "local all all peer map=rasd\n", account)
        idents = "".join(f'rasd "{name}" {role}\n' for name in sorted(owners) for role in (ROLE, APP_ROLE))
        self._write("pg_ident.conf", idents, account)

    def _write(self, name: str, content: str, account: Account) -> None:
        path = self.data / name
        path.write_text(content, encoding="utf-8")
        if path.stat().st_uid != account.uid:
            os.chown(path, account.uid, account.gid)
        path.chmod(0o600)

    def _prepare_socket(self, account: Account) -> None:
        folder = self.socket
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            os.chown(folder, account.uid, account.gid)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.uid or found.st_mode & 0o077:
            raise StoreError(
                f"{folder} is to hold the database's socket, but it is not a private folder of user "
                f"{account.name}. Remove it, or name another (shorter) folder in RASD_HOME."
            )
        # Nothing runs at this point, so what lies here is left from an unclean stop; its
        # process number may by now belong to another program, which would stop PostgreSQL.
        for name in (".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
            (folder / name).unlink(missing_ok=True)

    def _came_up_meanwhile(self) -> bool:
        """Wait for a server that is alive but still starting, or replaying its log."""
        deadline = time.monotonic() + _START_SECONDS
        while self._recorded_pid() in self._servers():
            if self._answers():
                return True
            if time.monotonic() > deadline:
                raise StoreError(
                    f"The server of {self.folder} has been starting for {_START_SECONDS} seconds and does "
                    f"not answer yet. See {self.log_file}; try again later."
                )
            time.sleep(0.2)
        return False

    def _end_orphans(self) -> None:
        """Wait for, then end, server processes whose postmaster is gone."""
        for sign, seconds in ((None, 3), (signal.SIGQUIT, 5), (signal.SIGKILL, 10)):
            if sign is not None:
                for pid in self._servers():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, sign)
            deadline = time.monotonic() + seconds
            while self._servers() and time.monotonic() < deadline:
                time.sleep(0.05)
            if not self._servers():
                return
        raise StoreError(
            f"Processes {self._servers()} of a server that was killed still work on {self.data} and "
            "cannot be ended. End them, then try again."
        )

    def _servers(self) -> list[int]:
        """PostgreSQL processes that work on our data: their current folder is the data folder."""
        if sys.platform != "linux":
            pid = self._recorded_pid()
            return [pid] if pid is not None and postgres.is_server(pid) else []
        wanted = os.path.realpath(self.data)
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                inside = os.readlink(entry / "cwd") == wanted
                program = Path(os.readlink(entry / "exe").removesuffix(" (deleted)")).name
            except OSError:
                continue  # it ended meanwhile, or belongs to somebody else and so is not ours
            if inside and program == "postgres":
                found.append(int(entry.name))
        return found

    def _ensure_database(self) -> None:
        with psycopg.connect(self._conninfo("postgres"), autocommit=True) as conn:
            found = conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if found is None:
                conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        with psycopg.connect(self._conninfo(DATABASE), autocommit=True) as conn:
            conn.execute("CREATE EXTENSION IF NOT EXISTS postgis")

    # ----------------------------------------------------------------- stop

    def _stop(self) -> bool:
        if self._recorded_pid() not in self._servers():
            # No server. A number left by a dead one may be another program's by now, to
            # which pg_ctl would send its signal; the next start removes the file.
            return False
        account = postgres.server_account(self.data)
        binaries = postgres.choose(postgres.installed(self._pg_bin), self._major())
        for mode in ("fast", "immediate"):
            done = self._pg_ctl(account, binaries, "stop", "-m", mode, seconds=_STOP_SECONDS)
            if done.returncode == 0:
                return True
        raise StoreError(f"The private cluster in {self.folder} did not stop: {done.stderr.strip()}")

    # ---------------------------------------------------------------- facts

    def _pg_ctl(
        self, account: Account, binaries: Binaries, verb: str, *options: str, seconds: int
    ) -> subprocess.CompletedProcess[str]:
        command = [binaries.program("pg_ctl"), verb, "-D", str(self.data), "-w", "-s", "-t", str(seconds)]
        return account.run([*command, *options], cwd=self.folder, timeout=seconds + 60)

    def _conninfo(self, database: str) -> str:
        return psycopg.conninfo.make_conninfo(
            "", host=str(self.socket), port=5432, user=ROLE, dbname=database, connect_timeout=5
        )

    def _answers(self) -> bool:
        """Whether our own server takes connections."""
        if not os.path.exists(self.socket / ".s.PGSQL.5432"):
            return False
        try:
            with psycopg.connect(self._conninfo("postgres")) as conn:
                row = conn.execute("SHOW data_directory").fetchone()
        except psycopg.OperationalError:
            return False
        return row is not None and os.path.realpath(row[0]) == os.path.realpath(self.data)

    def _recorded_pid(self) -> int | None:
        try:
            first = (self.data / "postmaster.pid").read_text(encoding="utf-8").partition("\n")[0]
        except FileNotFoundError:
            return None
        return int(first) if first.strip().isdigit() else -1

    def _major(self) -> int | None:
        try:
            return int((self.data / "PG_VERSION").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def _log_tail(self, lines: int = 12) -> str:
        try:
            return "\n".join(
                self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
            )
        except FileNotFoundError:
            return ""
