"""Where the browser's files come from: the folder ``static``, served by the app itself.

Leaflet is copied from the installed XStatic-Leaflet package (the version that folium asks
for), so the map works with no network; our own scripts, styles and fonts are committed.
``python -m layers.assets`` does the copy; the app repeats it when a file is missing.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

STATIC = Path(__file__).resolve().parent.parent / "static"
# Relative to the frame of the map (/component/<name>/index.html), so that a base path works.
FRAME_ROOT = "../../app/static/"
LEAFLET_FILES = ("leaflet.js", "leaflet.css")


def prepare(static: Path = STATIC) -> list[Path]:
    """Copy Leaflet's script, style and images to ``static/leaflet``; return what was written.

    A file that is already there with the same size is left alone, so that two starts at
    once do not disturb a page that is being served.
    """
    from xstatic.pkg import leaflet

    source = Path(leaflet.BASE_DIR)
    target = static / "leaflet"
    written = []
    for item in [*LEAFLET_FILES, *(f"images/{p.name}" for p in sorted((source / "images").glob("*.png")))]:
        here, there = source / item, target / item
        if there.exists() and there.stat().st_size == here.stat().st_size:
            continue
        there.parent.mkdir(parents=True, exist_ok=True)
        # Written beside and renamed: a reader sees the old file or the whole new one.
        part = there.with_name(there.name + ".part")
        shutil.copyfile(here, part)
        part.replace(there)
        written.append(there)
    return written


def frame_url(name: str, static: Path = STATIC) -> str:
    """Address of a static file as seen from the map's frame, with a digest of its content.

    The digest makes a browser fetch the file again after an update.
    """
    digest = hashlib.sha256((static / name).read_bytes()).hexdigest()[:10]
    return f"{FRAME_ROOT}{name}?v={digest}"


if __name__ == "__main__":
    for path in prepare():
        print(path.relative_to(STATIC.parent))
