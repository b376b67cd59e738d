"""The commands at the top of the checkout: ./run, ./test, ./rasd and ./bench.

The slow ones run the real thing: two set-ups at once, a served app, ``kill -9`` of all of
it, and the next start. They use this session's virtual environment and a home of their own.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.metadata
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from data.cluster import Cluster
from data.settings import Settings
from geo.errors import ConfigError, InputError
from tools import bench, serve

ROOT = Path(__file__).resolve().parents[1]
FEW = "10000"  # simulated reports: enough to see that a load is there, whole and once
SCRIPTS = ("run", "test", "rasd", "bench", ".ci/run")


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RASD_", "DATABASE_URL"))}
    return kept | {"RASD_VENV": sys.prefix} | more


def shell(script: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run lines of bash with tools/common.sh sourced."""
    return subprocess.run(
        ["bash", "-c", f". '{ROOT}/tools/common.sh'\n{script}"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=environment(**more),
        timeout=120,
    )


def command(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / words[0]), *words[1:]],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=environment(**more),
        cwd="/",
        timeout=400,
    )


# ------------------------------------------------------------------------------ the scripts


@pytest.mark.parametrize("name", [*SCRIPTS, "tools/common.sh"])
def test_each_script_is_well_formed_and_stops_at_the_first_error(name: str) -> None:
    assert subprocess.run(["bash", "-n", str(ROOT / name)]).returncode == 0
    assert "set -euo pipefail" in (ROOT / name).read_text(encoding="utf-8")
    assert name == "tools/common.sh" or os.access(ROOT / name, os.X_OK)


@pytest.mark.parametrize("name", ["run", "bench"])
def test_help_needs_no_set_up_of_the_store_and_shows_an_example(name: str) -> None:
    done = command(name, "--help")
    assert done.returncode == 0
    assert f"Usage: ./{name}" in done.stdout
    assert "Example: " in done.stdout


def test_an_unknown_option_of_run_is_refused() -> None:
    done = command("run", "--servce")
    assert done.returncode == 2
    assert "--servce" in done.stderr


def test_no_python_that_is_new_enough_is_one_clear_sentence() -> None:
    done = shell("is_new_enough() { return 1; }; find_python; echo not reached")
    assert done.returncode == 1
    assert done.stderr.startswith("rasd: Python 3.11 or newer is needed and was not found")
    assert "not reached" not in done.stdout


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="the line is another one without apt-get")
def test_without_permission_the_line_to_type_is_said() -> None:
    done = shell("has_postgis() { return 1; }; may_install() { return 1; }; ensure_postgis")
    assert done.returncode == 1
    assert re.search(r"Type: sudo apt-get install postgresql-(\d+) postgresql-\1-postgis-3", done.stderr)


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="packages are Debian's")
def test_with_permission_the_packages_are_installed_and_looked_for_again() -> None:
    done = shell(
        "there=no; has_postgis() { [ $there = yes ]; }; may_install() { return 0; }; as_root() { :; }\n"
        'apt_install() { echo "install $*"; there=yes; }\nensure_postgis; echo done'
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"install postgresql-(\d+) postgresql-\1-postgis-3\ndone\n", done.stdout)


def test_a_database_of_ones_own_needs_no_postgresql_here() -> None:
    done = shell("has_postgis() { return 1; }; ensure_postgis; echo fine", DATABASE_URL="postgresql://h/d")
    assert done.stdout == "fine\n"


def test_a_relative_home_counts_from_where_the_command_was_typed() -> None:
    assert shell('cd /; printf %s "$RASD_HOME"', RASD_HOME="a b/c").stdout == f"{os.getcwd()}/a b/c"


def test_the_set_up_lock_is_not_passed_on_once_it_is_released(tmp_path: Path) -> None:
    done = shell(
        f"VENV='{tmp_path}/v'; BASE_PYTHON='{sys.executable}'; lock_setup; unlock_setup\n"
        "[ -e /dev/fd/9 ] && echo held || echo free"
    )
    assert done.stdout == "free\n", done.stderr


def test_every_package_that_the_code_imports_is_in_the_requirements() -> None:
    wanted = {
        re.split(r"[\[<>=]", line)[0].lower().replace("_", "-")
        for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    }
    providers = importlib.metadata.packages_distributions()
    files = [
        p
        for room in ("geo", "data", "ingest", "layers", "views", "service", "tools")
        for p in (ROOT / room).rglob("*.py")
    ]
    files += ROOT.glob("*.py")
    missing = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                owners = {d.lower().replace("_", "-") for d in providers.get(name.partition(".")[0], [])}
                if owners and not owners & wanted:
                    missing.add((name, str(file.relative_to(ROOT))))
    assert not missing


# ------------------------------------------------------------------------------------- port


def test_a_taken_port_is_said_with_another_to_try() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port}: .* --port \d+"):
            serve.require_free_port(Settings(port=port))


def test_an_address_that_is_not_this_machines_is_said() -> None:
    with pytest.raises(ConfigError, match="RASD_ADDRESS"):
        serve.require_free_port(Settings(address="192.0.2.1", port=8777))


# ------------------------------------------------------------------------------- benchmarks


def test_bench_lists_every_benchmark_with_its_description() -> None:
    done = command("bench", "--json")
    assert done.returncode == 0, done.stderr
    listing = json.loads(done.stdout)
    assert sorted(listing) == bench.names()
    assert all(listing.values())


def test_an_unknown_benchmark_is_refused_with_those_there_are() -> None:
    done = command("bench", "nothing")
    assert done.returncode == 1
    assert "There is no benchmark 'nothing'" in done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], (None, {}, False)),
        (["a", "--rows", "1_000", "--json"], ("a", {"rows": 1000}, True)),
        (["a", "--rows=5", "--keep-going", "yes", "--share", "0.5"],
         ("a", {"rows": 5, "keep_going": "yes", "share": 0.5}, False)),
    ],
)  # fmt: skip
def test_options_of_bench_are_read(words: list[str], expected: tuple[Any, ...]) -> None:
    assert bench.parse(words) == expected


@pytest.mark.parametrize(
    "words", [["a", "b"], ["a", "--rows"], ["a", "--rows", "many"], ["a", "--rows", "0"]]
)
def test_options_of_bench_that_cannot_be_are_refused(words: list[str]) -> None:
    with pytest.raises(InputError):
        bench.parse(words)


def test_a_benchmark_gets_a_store_of_its_own_which_goes_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.py").write_text(
        "DESCRIPTION = 'counts'\n"
        "def run(rows, extra=1):\n"
        "    import os\n"
        "    from sqlalchemy import text\n"
        "    from data import database\n"
        "    print('noise')\n"
        "    with database.connection() as conn:\n"
        "        n = conn.execute(text('SELECT count(*) FROM report')).scalar()\n"
        "        safe = conn.execute(text('SHOW fsync')).scalar()\n"
        "    return {'n': n, 'rows': rows, 'extra': extra, 'home': os.environ['RASD_HOME'], 'fsync': safe}\n"
    )
    monkeypatch.setattr(bench, "FOLDER", tmp_path)
    mine = os.environ["RASD_HOME"]
    assert bench.main(["tiny", "--rows", "7", "--extra", "2", "--json"]) == 0
    result = json.loads(capfd.readouterr().out)
    assert (result["n"], result["rows"], result["extra"], result["fsync"]) == (0, 7, 2, "on")
    assert result["home"] != mine
    assert not Path(result["home"]).exists()
    assert os.environ["RASD_HOME"] == mine
    assert bench.main(["tiny", "--nonsense", "1"]) == 1


# ------------------------------------------------------------------------- the real thing


@pytest.fixture
def home() -> Iterator[Path]:
    """A RASD_HOME with a space in it; what still runs in it at the end is ended."""
    folder = Path(tempfile.mkdtemp(prefix="rasd home ", dir="/tmp"))
    yield folder
    Cluster(folder).destroy()
    shutil.rmtree(folder)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def status(home: Path) -> dict[str, Any]:
    done = command("rasd", "status", "--json", RASD_HOME=str(home))
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class Served:
    """A ./run that serves, with its output."""

    def __init__(self, home: Path, port: int) -> None:
        self.log = home.parent / f"{home.name}.log"
        with self.log.open("a") as out:
            self.process = subprocess.Popen(
                [str(ROOT / "run")],
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                env=environment(RASD_HOME=str(home), RASD_PORT=str(port), RASD_DEMO_REPORTS=FEW),
                start_new_session=True,
            )
        self.address = f"http://127.0.0.1:{port}"

    def wait(self, seconds: float = 240) -> float:
        """Seconds until it says its address."""
        began = time.monotonic()
        while f"Rasd: {self.address}\n" not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() - began < seconds, self.log.read_text()
            time.sleep(0.1)
        return time.monotonic() - began

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.unlink(missing_ok=True)


def start_set_up(home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(ROOT / "run"), "--no-serve"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        stdin=subprocess.DEVNULL,
        env=environment(RASD_HOME=str(home), RASD_DEMO_REPORTS=FEW),
        start_new_session=True,
    )


def areas_loaded(cluster: Cluster) -> int:
    """Areas in the store of a cluster that may not be there yet."""
    try:
        with psycopg.connect(cluster._conninfo("rasd")) as conn:
            row = conn.execute("SELECT count(*) FROM area").fetchone()
    except (psycopg.OperationalError, psycopg.errors.UndefinedTable):
        return 0
    return int(row[0]) if row else 0


@pytest.mark.slow
def test_after_a_set_up_that_was_killed_two_at_once_complete_it_and_load_the_demo_once(home: Path) -> None:
    cluster = Cluster(home)
    killed = start_set_up(home)
    while not areas_loaded(cluster):
        assert killed.poll() is None, killed.communicate()[0]
        time.sleep(0.1)
    for pid in cluster._servers():
        with contextlib.suppress(ProcessLookupError):  # a backend that its server took along
            os.kill(pid, signal.SIGKILL)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    pair = [start_set_up(home) for _ in range(2)]
    said = [process.communicate(timeout=400)[0] for process in pair]
    assert [process.returncode for process in pair] == [0, 0], said
    assert not cluster.status().running
    assert not (home / "scratch").exists()
    found = status(home)
    # A second load of the same files would be batches of the same names with nothing new.
    names = [batch["file_name"] for batch in found["batches"]]
    assert len(set(names)) == len(names)
    assert sum(found["reports_by_status"].values()) > 0.9 * int(FEW)


@pytest.mark.slow
def test_run_serves_survives_kill_minus_nine_and_stops_what_it_started(home: Path) -> None:
    port = free_port()
    first = Served(home, port)
    try:
        first.wait()
        with urllib.request.urlopen(first.address, timeout=20) as page:
            assert page.status == 200
        before = status(home)
        cluster = Cluster(home)
        # Everything at once: ./run, the app and every process of the server.
        for pid in [first.process.pid, *cluster._servers()]:
            os.kill(pid, signal.SIGKILL)
    finally:
        first.end()
    second = Served(home, port)
    try:
        seconds = second.wait(60)
        assert seconds < 30
        assert status(home)["reports_by_status"] == before["reports_by_status"]
        assert cluster.status().running
        second.process.send_signal(signal.SIGTERM)
        assert second.process.wait(timeout=60) == 0
    finally:
        second.end()
    assert not cluster.status().running
    with pytest.raises(OSError):
        urllib.request.urlopen(second.address, timeout=5)
