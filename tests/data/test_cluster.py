"""The private cluster: made, found running, killed, locked, shared, stopped."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket as sockets
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, text

from data import postgres
from data.cluster import Cluster
from data.postgres import Binaries
from geo.errors import StoreError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that stands for RASD_HOME; what runs in it is ended afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="rasd-home-", dir="/tmp"))
    yield folder
    for inside in [folder, *(p.parent for p in folder.rglob("cluster.lock"))]:
        Cluster(inside).destroy()
    shutil.rmtree(folder)


@pytest.fixture
def cluster(home: Path) -> Cluster:
    return Cluster(home, durable=False)


def ask(cluster: Cluster, query: str, *, database: str = "rasd") -> object:
    engine = create_engine(cluster.url(database))
    try:
        with engine.begin() as conn:
            result = conn.execute(text(query))
            return result.scalar() if result.returns_rows else None
    finally:
        engine.dispose()


def wait_for(truth: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not truth():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.05)


def kill_everything(cluster: Cluster) -> None:
    """kill -9 of the postmaster and all its children, as a power cut would."""
    for pid in cluster._servers():
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not cluster._servers())


def test_a_new_cluster_has_postgis_utf8_and_utc_and_no_network(cluster: Cluster) -> None:
    assert cluster.start() == cluster.url()
    assert ask(cluster, "SELECT ST_AsText(ST_Point(50, 26))") == "POINT(50 26)"
    assert ask(cluster, "SHOW server_encoding") == "UTF8"
    assert ask(cluster, "SHOW timezone") == "UTC"
    assert ask(cluster, "SHOW listen_addresses") == ""
    assert ask(cluster, "SHOW jit") == "off"
    status = cluster.status()
    assert status.running
    assert status.pid in cluster._servers()
    assert not stat.S_IMODE(cluster.folder.stat().st_mode) & 0o077


def test_safety_settings_are_on_unless_a_test_turns_them_off(home: Path) -> None:
    settings = postgres.server_settings(home)
    assert not {"fsync", "full_page_writes", "synchronous_commit"} & set(settings)
    assert postgres.server_settings(home, durable=False)["fsync"] == "off"


def test_the_server_never_runs_as_root_and_has_the_data_to_itself(cluster: Cluster) -> None:
    cluster.start()
    owner = cluster.data.stat().st_uid
    assert owner != 0
    for pid in cluster._servers():
        assert Path(f"/proc/{pid}").stat().st_uid == owner


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can pretend to be somebody else")
def test_another_user_of_the_machine_is_not_let_in(cluster: Cluster) -> None:
    cluster.start()
    # Even with the folders wide open, the kernel says who is calling.
    for folder in (cluster.folder, cluster.socket):
        folder.chmod(0o755)
    nobody = pwd.getpwnam("nobody")
    done = postgres.Account("nobody", nobody.pw_uid, nobody.pw_gid).run(
        [str(postgres.installed()[0].folder / "psql"), cluster._conninfo("rasd"), "-c", "SELECT 1"],
        cwd=Path("/"),
        timeout=20,
    )
    assert done.returncode != 0
    assert "authentication failed" in done.stderr.lower()


def test_starting_twice_finds_it_running(cluster: Cluster) -> None:
    cluster.start()
    pid = cluster.status().pid
    began = time.monotonic()
    cluster.start()
    assert cluster.status().pid == pid
    assert time.monotonic() - began < 2


def test_five_starts_at_once_make_one_server(home: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom data.cluster import Cluster\n"
    code += "print(Cluster(sys.argv[1], durable=False).start())"
    with ThreadPoolExecutor(5) as pool:
        done = list(
            pool.map(
                lambda _: subprocess.run(
                    [sys.executable, "-c", code, str(home)], capture_output=True, text=True
                ),
                range(5),
            )
        )
    assert [d.returncode for d in done] == [0] * 5, [d.stderr for d in done]
    postmasters = [
        pid for pid in Cluster(home)._servers() if b"-D" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert postmasters == [Cluster(home).status().pid]


def test_committed_data_is_there_after_kill_minus_nine_of_everything(home: Path) -> None:
    cluster = Cluster(home)
    cluster.start()
    ask(cluster, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    kill_everything(cluster)
    assert (cluster.data / "postmaster.pid").exists()
    assert not cluster.status().running
    cluster.start()
    assert ask(cluster, "SELECT count(*) FROM kept") == 1000


def test_a_lock_whose_number_now_belongs_to_another_program_is_recognised(cluster: Cluster) -> None:
    cluster.start()
    kill_everything(cluster)
    # A harmless program of the server's own user takes the number, as after a reboot.
    owner = cluster.data.stat()
    sleeper = subprocess.Popen(
        ["sleep", "60"], user=owner.st_uid if os.geteuid() == 0 else None, cwd=cluster.home
    )
    try:
        for lock in (cluster.data / "postmaster.pid", cluster.socket / ".s.PGSQL.5432.lock"):
            rest = lock.read_text().partition("\n")[2]
            lock.write_text(f"{sleeper.pid}\n{rest}")
        assert cluster.stop() is False
        assert sleeper.poll() is None
        cluster.start()
        assert cluster.status().pid not in (None, sleeper.pid)
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


def test_an_orphan_of_a_killed_server_is_ended_before_a_new_one_starts(cluster: Cluster) -> None:
    cluster.start()
    busy = psycopg.connect(cluster._conninfo("rasd"))
    # A backend in a tight loop does not notice that its postmaster is gone.
    with ThreadPoolExecutor(1) as pool:
        query = pool.submit(busy.execute, "SELECT count(*) FROM generate_series(1, 100000000000)")
        orphan = busy.info.backend_pid
        wait_for(lambda: Path(f"/proc/{orphan}/stat").read_text().split()[2] == "R")
        os.kill(cluster.status().pid or 0, signal.SIGKILL)
        time.sleep(0.5)
        cluster.start()
        assert orphan not in cluster._servers()
        assert isinstance(query.exception(timeout=20), psycopg.OperationalError)


def test_a_kill_in_the_middle_of_making_the_cluster_leaves_nothing_half(cluster: Cluster) -> None:
    account = postgres.server_account(cluster.data)
    cluster._own(cluster.folder, account)
    half = cluster.folder / "data.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("15\n")
    cluster.start()
    assert not half.exists()
    assert ask(cluster, "SELECT 1") == 1


def test_a_path_with_spaces_and_arabic_letters_works(home: Path) -> None:
    cluster = Cluster(home / "بيانات رصد" / "a b", durable=False)
    (home / "بيانات رصد").mkdir()
    home.chmod(0o755)
    cluster.start()
    assert cluster.socket == cluster.folder / "socket"
    assert ask(cluster, "SELECT 'رصد'") == "رصد"


@pytest.mark.parametrize("name", ["x" * 120, "a,b", "it's"])
def test_a_path_that_no_socket_can_have_gets_a_short_private_one(home: Path, name: str) -> None:
    home.chmod(0o755)
    cluster = Cluster(home / name, durable=False)
    cluster.start()
    assert cluster.socket.parent == Path("/tmp")
    assert stat.S_IMODE(cluster.socket.stat().st_mode) == 0o700
    assert ask(cluster, "SELECT 1") == 1
    cluster.destroy()
    assert not cluster.socket.exists()


def test_a_socket_folder_that_is_open_to_others_is_refused(home: Path) -> None:
    cluster = Cluster(home / ("y" * 120), durable=False)
    home.chmod(0o755)
    cluster.socket.mkdir()
    cluster.socket.chmod(0o777)
    try:
        with pytest.raises(StoreError, match="not a private folder"):
            cluster.start()
    finally:
        cluster.socket.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs the server itself")
def test_a_folder_closed_to_the_servers_user_keeps_a_pointer_to_a_place_that_is_open(home: Path) -> None:
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    inner = home / "inner"
    cluster = Cluster(inner, durable=False)
    cluster.start()
    assert cluster.folder.parent == Path("/var/lib/rasd/clusters")
    assert ask(cluster, "SELECT 1") == 1
    assert Cluster(inner).status().running
    place = cluster.folder
    cluster.destroy()
    assert not place.exists()


def test_data_of_another_major_version_is_refused_with_the_package_to_install(cluster: Cluster) -> None:
    cluster.start()
    cluster.stop()
    (cluster.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(StoreError, match=r"made by PostgreSQL 9, .*found: .* with PostGIS.*Install it"):
        cluster.start()


@pytest.mark.parametrize(
    ("servers", "words"),
    [
        ([], "found: no PostgreSQL server"),
        ([Binaries(Path("/x/bin"), 16, False)], "16 without PostGIS in /x/bin"),
    ],
)
def test_missing_programs_are_said_with_the_line_to_type(servers: list[Binaries], words: str) -> None:
    with pytest.raises(StoreError) as caught:
        postgres.choose(servers, None)
    assert words in str(caught.value)
    assert "Install it: " in str(caught.value)


def test_the_newest_server_with_postgis_is_chosen_over_a_newer_one_without() -> None:
    servers = [
        Binaries(Path("/a"), 15, True),
        Binaries(Path("/b"), 16, True),
        Binaries(Path("/c"), 17, False),
    ]
    ordered = sorted(servers, key=lambda s: (s.postgis, s.major), reverse=True)
    assert postgres.choose(ordered, None).major == 16
    assert postgres.choose(ordered, 15).major == 15


def test_a_folder_of_state_that_cannot_be_made_is_said(home: Path) -> None:
    (home / "file").write_text("")
    with pytest.raises(StoreError, match="Name another one in RASD_HOME"):
        Cluster(home / "file" / "x").start()


def test_the_last_to_leave_stops_the_server(cluster: Cluster) -> None:
    first, second = cluster.lease(), cluster.lease()
    assert first.release() is False
    assert cluster.status().running
    assert second.release() is True
    assert not cluster.status().running
    assert second.release() is False


def test_a_killed_user_of_the_cluster_counts_no_more(cluster: Cluster) -> None:
    code = f"import sys, time; sys.path.insert(0, {str(ROOT)!r})\nfrom data.cluster import Cluster\n"
    code += "lease = Cluster(sys.argv[1], durable=False).lease(); print('held', flush=True); time.sleep(600)"
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(cluster.home)], stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    mine = cluster.lease()
    assert cluster.status().running
    other.kill()
    other.communicate()
    assert mine.release() is True


def test_a_cluster_that_is_to_be_kept_outlives_its_users_until_it_is_stopped(cluster: Cluster) -> None:
    lease = cluster.lease()
    cluster.keep()
    assert lease.release() is False
    assert cluster.status().running
    assert cluster.status().kept
    assert cluster.stop() is True
    assert not cluster.status().kept
    assert cluster.lease().release() is True


def test_inside_run_nothing_is_kept(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RASD_HELD", str(cluster.home))
    lease = cluster.lease()
    cluster.keep()
    assert lease.release() is True


def test_stopping_what_does_not_run_is_no_error(cluster: Cluster, home: Path) -> None:
    assert cluster.stop() is False
    assert Cluster(home / "never made").stop() is False
    assert not (home / "never made").exists()


def test_the_server_holds_none_of_our_locks(cluster: Cluster) -> None:
    cluster.lease().release()
    cluster.start()
    assert cluster.in_use() is False
    assert cluster.stop_if_unused() is True


def test_nothing_of_the_callers_postgres_environment_leads_it_astray(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sockets.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        for name, value in {
            "PGDATA": "/nowhere",
            "PGPORT": str(taken.getsockname()[1]),
            "PGUSER": "x",
        }.items():
            monkeypatch.setenv(name, value)
        cluster.start()
        assert ask(cluster, "SELECT current_user") == "rasd"
