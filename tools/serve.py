"""What ./run does once Python and its packages are there: set the store up, serve the app.

Holds the private cluster for as long as it runs, so that the last ./run to leave stops
it. Two at once take turns at the set-up. The app is a child process that ends with this
one, even when this one is killed; its address is printed once it answers.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from data import database, sign_in
from data.settings import Settings, settings
from geo.errors import ConfigError, RasdError

ROOT = Path(__file__).resolve().parent.parent
_ANSWER_SECONDS = 120


class Stopped(Exception):
    """Somebody asked this command to stop (Ctrl-C, SIGTERM or a closed terminal)."""


def main(arguments: list[str] | None = None) -> int:
    """Entry point; the exit code is 0 only if what was asked was done."""
    parser = argparse.ArgumentParser(prog="./run", description="Set Rasd up and serve the app.")
    parser.add_argument("--no-serve", action="store_true", help="stop after the set-up")
    parser.add_argument("--port", type=int, help="the app's port (default: RASD_PORT, or 8501)")
    options = parser.parse_args(arguments)
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, _stop)
    try:
        if options.port is not None:
            os.environ["RASD_PORT"] = str(options.port)
        chosen = settings()
        if not options.no_serve:
            sign_in.mode(chosen)  # refuses an address on which nobody would have to sign in
            require_free_port(chosen)
        with one_at_a_time(chosen.home):
            database.database_url()  # starts the cluster; held until the end of this process
            os.environ["RASD_HELD"] = str(chosen.home)
            set_up(chosen.home)
        if options.no_serve:
            say("set up. ./run serves the app, ./rasd is the command line.")
            return 0
        return serve(chosen)
    except RasdError as error:
        say(str(error))
        return 1
    except Stopped:
        say("stopped before the set-up was done.")
        return 130
    finally:
        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(sign, signal.SIG_IGN)
        database.release()


def say(message: str) -> None:
    """One short line for the person at the terminal."""
    print(f"rasd: {message}", file=sys.stderr, flush=True)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise Stopped


def require_free_port(chosen: Settings) -> None:
    """Raise ConfigError when the app's port is taken or the address is not this machine's."""
    family = socket.AF_INET6 if ":" in chosen.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the server itself does: a connection that is fading away is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((chosen.address, chosen.port))
        except OSError as error:
            raise ConfigError(
                f"The app cannot listen on {chosen.address} port {chosen.port}: {error.strerror}. Stop what "
                f"uses it, or choose another: ./run --port {min(chosen.port + 1, 65535)} (or RASD_PORT, and "
                "RASD_ADDRESS for the address)."
            ) from None


@contextlib.contextmanager
def one_at_a_time(home: Path) -> Iterator[None]:
    """Let one ./run of this home migrate and load the demo; others wait."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / "setup.lock").open("a", encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"The folder {home} cannot be used for Rasd's state ({error.strerror}). "
            "Name another one in RASD_HOME."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another ./run is setting up; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def set_up(home: Path) -> None:
    """Migrate, load the demo into an empty store, and put the map's scripts in place.

    Raises
    ------
    RasdError
        A step failed; the step itself has already said why.
    """
    scratch = home / "scratch"
    if scratch.exists():
        shutil.rmtree(scratch)  # left by a set-up that was killed; we hold the lock
    scratch.mkdir()
    surroundings = os.environ | {"TMPDIR": str(scratch)}
    for step in (
        ["cli.py", "up"],
        ["cli.py", "demo", "--if-empty", f"--reports={settings().demo_reports}"],
        ["-m", "layers.assets"],
    ):
        done = subprocess.run(
            [sys.executable, *step], cwd=ROOT, env=surroundings, stdin=subprocess.DEVNULL, check=False
        )
        if done.returncode != 0:
            raise RasdError(f"The set-up stopped at `{' '.join(step)}` (code {done.returncode}), see above.")
    shutil.rmtree(scratch)


def serve(chosen: Settings) -> int:
    """Serve until told to stop; returns the app's exit code."""
    command = [sys.executable, "-m", "streamlit", "run", "app.py"]
    command += [f"--server.address={chosen.address}", f"--server.port={chosen.port}"]
    command += ["--server.headless=true", "--browser.gatherUsageStats=false"]
    command.append(f"--server.maxUploadSize={math.ceil(chosen.photo_mb)}")
    # Its greeting would print addresses of its own; ours is the one that was asked for.
    app = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        preexec_fn=_end_with_parent if sys.platform == "linux" else None,
    )
    try:
        address = wait_until_it_answers(app, chosen)
        print(f"Rasd: {address}", flush=True)
        say("Ctrl-C stops it.")
        try:
            code = app.wait()
        except Stopped:
            say("stopped.")
            return 0
        say(f"the app ended by itself (code {code})")
        return code or 1
    finally:
        end(app)


def _end_with_parent() -> None:
    """Ask the kernel to end the app when ./run is killed, so that its port is free again."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # 1 = PR_SET_PDEATHSIG


def wait_until_it_answers(app: subprocess.Popen[bytes], chosen: Settings) -> str:
    """The app's address, once its health page answers.

    Raises
    ------
    RasdError
        The app ended, or did not answer in two minutes.
    """
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(chosen.address, chosen.address)  # noqa: S104
    address = f"http://{f'[{host}]' if ':' in host else host}:{chosen.port}"
    # No proxy: one that is set for the web would be asked for this machine's own address.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + _ANSWER_SECONDS
    while time.monotonic() < deadline:
        if app.poll() is not None:
            raise RasdError(f"The app ended before it answered (code {app.returncode}); see above.")
        try:
            with opener.open(f"{address}/_stcore/health", timeout=2):
                return address
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RasdError(f"The app did not answer on {address} within {_ANSWER_SECONDS} seconds.")


def end(app: subprocess.Popen[bytes]) -> None:
    """Ask the app to stop; insist when it does not."""
    for ask in (app.terminate, app.kill):
        if app.poll() is not None:
            return
        ask()
        with contextlib.suppress(subprocess.TimeoutExpired):
            app.wait(timeout=10)


if __name__ == "__main__":
    sys.exit(main())
