"""Ingest speed: simulated reports as CSV into a queryable store, against the plain way.

Both ways read the same file in the same run. The plain way is what a notebook would do:
``pandas.read_csv``, dates by ``pandas.to_datetime``, ``geopandas.sjoin`` with the
municipalities, ``to_postgis``. It does less: no checks, no classification, no cells, no
history, no landed rows, no index but the geometry's. Each runs in a process of its own,
so that its peak of memory is its own.
"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from data import database
from ingest import demo

DESCRIPTION = "CSV of simulated reports to a fully queryable store, against pandas + sjoin + to_postgis"
ROOT = Path(__file__).resolve().parents[2]

_OURS = """
import json, resource, sys, time
from pathlib import Path
from sqlalchemy import create_engine
from ingest.pipeline import ingest_reports
engine = create_engine(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.perf_counter()
result = ingest_reports(engine, Path(sys.argv[2]), territory=sys.argv[3])
seconds = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": seconds, "peak_mb": peak / 1024, "start_mb": before / 1024,
                  "read": result.read, "accepted": result.accepted, "quarantined": result.quarantined,
                  "unchanged": result.unchanged, "located": result.located}))
"""

_PLAIN = """
import json, resource, sys, time
import geopandas as gpd, pandas as pd
from sqlalchemy import create_engine
engine = create_engine(sys.argv[1])
began = time.perf_counter()
frame = pd.read_csv(sys.argv[2], dtype=str)
for column in ("احداثي X", "احداثي Y"):
    frame[column] = pd.to_numeric(frame[column], errors="coerce")
for column in [name for name in frame.columns if name.startswith("تاريخ")]:
    frame[column] = pd.to_datetime(frame[column], format="%Y-%m-%d %H:%M:%S", errors="coerce")
points = gpd.GeoDataFrame(frame, geometry=gpd.points_from_xy(frame["احداثي X"], frame["احداثي Y"]), crs=4326)
areas = gpd.read_file(sys.argv[3], layer="municipality")[["name_en", "geometry"]]
joined = gpd.sjoin(points, areas, how="left", predicate="within").drop(columns="index_right")
joined.to_postgis("plain_report", engine, if_exists="replace", chunksize=50_000)
seconds = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": seconds, "peak_mb": peak / 1024, "rows": len(joined)}))
"""


def _child(code: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run(rows: int | None = None) -> dict[str, Any]:
    """Load ``rows`` simulated reports (default a million) both ways."""
    rows = rows or 1_000_000
    url = database.database_url()
    engine = database.engine()
    with tempfile.TemporaryDirectory(prefix="rasd-bench-") as folder:
        files = demo.write_files(Path(folder), reports=rows, end=dt.date(2026, 6, 30))
        from ingest.areas import ingest_areas

        for level in demo.LEVELS:
            ingest_areas(
                engine,
                files.areas,
                level=level,
                layer=level,
                territory=demo.TERRITORY,
                timezone="Asia/Riyadh",
                illustrative=True,
                simulated=True,
            )
        (path,) = files.reports
        ours = _child(_OURS, url, str(path), demo.TERRITORY)
        again = _child(_OURS, url, str(path), demo.TERRITORY)
        plain = _child(_PLAIN, url, str(path), str(files.areas))
        megabytes = path.stat().st_size / 1e6
    return {
        "rows": ours["read"],
        "file_mb": round(megabytes, 1),
        "seconds": round(ours["seconds"], 2),
        "rows_per_second": round(ours["read"] / ours["seconds"]),
        "peak_mb": round(ours["peak_mb"]),
        "accepted": ours["accepted"],
        "unchanged": ours["unchanged"],
        "quarantined": ours["quarantined"],
        "located": ours["located"],
        "again_seconds": round(again["seconds"], 2),
        "again_changed": again["accepted"],
        "plain_rows": plain["rows"],
        "plain_seconds": round(plain["seconds"], 2),
        "plain_peak_mb": round(plain["peak_mb"]),
        "ratio_to_plain": round(plain["seconds"] / ours["seconds"], 2),
    }
