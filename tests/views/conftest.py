"""The page in a real browser: a seeded store, the app's own server, and a watched page."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from layers import assets
from tests.views.sample_city import City, build_city

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass
class Page:
    """A browser page on the app, with what it asked for and what it sent."""

    page: Any
    address: str
    hosts: set[str] = field(default_factory=set)
    sent: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def open(self, path: str = "/") -> Any:
        """Open an address of the app and wait for the map; returns the map's frame."""
        self.page.goto(self.address + path)
        return self.frame()

    def frame(self) -> Any:
        """The map's frame, once its data is drawn."""
        self.page.wait_for_selector("iframe[src*=streamlit_folium]", timeout=60_000)
        for _ in range(300):
            found = next((f for f in self.page.frames if "streamlit_folium" in f.url), None)
            if found and found.evaluate("!!(window.rasd && rasd.o && rasd.stats.draws)"):
                self.settle()
                return found
            self.page.wait_for_timeout(100)
        raise AssertionError(f"the map was not drawn: {self.errors}")

    def settle(self, quiet: float = 1.0) -> None:
        """Wait until the page shows no run, and has sent nothing for a while."""
        for _ in range(300):
            self.page.wait_for_timeout(100)
            running = self.page.locator("[data-testid=stStatusWidget]").count()
            if not running and (not self.sent or time.monotonic() - self.sent[-1] > quiet):
                return
        raise AssertionError("the page never came to rest")

    def click_top_cell(self, frame: Any) -> None:
        """Click the cell with most reports of those on screen."""
        x, y = frame.evaluate(
            """() => { const l = rasd._level(), size = rasd._map.getSize(); let best = null;
                 for (let i = 0; i < l.n; i++) {
                   const p = rasd._map.latLngToContainerPoint([l.lat[i], l.lng[i]]);
                   if (p.x < 60 || p.y < 60 || p.x > size.x - 230 || p.y > size.y - 60) continue;
                   if (!best || l.count[i] > best[0]) best = [l.count[i], p.x, p.y];
                 }
                 return best.slice(1); }"""
        )
        self.page.locator("iframe[src*=streamlit_folium]").scroll_into_view_if_needed()
        box = frame.frame_element().bounding_box()
        self.page.mouse.click(box["x"] + x, box["y"] + y)
        self.page.wait_for_selector("#rd-cell", timeout=30_000)
        self.settle()


@pytest.fixture(scope="module")
def city(module_store: Any) -> City:
    return build_city(module_store.engine)


@pytest.fixture(scope="module")
def address(module_store: Any, city: City, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the app's server listens; it is stopped by its process id at the end."""
    assets.prepare()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log.txt"
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    with log.open("w") as out:
        server = subprocess.Popen(
            command, cwd=ROOT, stdout=out, stderr=out, env=os.environ | {"DATABASE_URL": module_store.url}
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):
                    break
            except (urllib.error.URLError, OSError):
                assert server.poll() is None, log.read_text()
                time.sleep(0.1)
        else:
            raise AssertionError(log.read_text())
        yield url
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture
def new_page(browser: Any, address: str) -> Iterator[Any]:
    """Makes pages on the app: ``new_page(width=400, dark=True)``."""
    contexts = []

    def make(width: int = 1440, height: int = 900, dark: bool = False) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        page = context.new_page()
        watched = Page(page, address)
        page.on("request", lambda r: watched.hosts.add(urlsplit(r.url).netloc))
        page.on("pageerror", lambda e: watched.errors.append(str(e)))

        def socket_opened(ws: Any) -> None:
            watched.hosts.add(urlsplit(ws.url).netloc)
            ws.on("framesent", lambda _: watched.sent.append(time.monotonic()))

        page.on("websocket", socket_opened)
        return watched

    yield make
    for context in contexts:
        context.close()
