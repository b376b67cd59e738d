"""Every notebook runs from its first cell to its last on a small store, without any network."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from ingest.demo import load_demo

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
REPORTS = 4_000
MAPS = {"01_hotspots": 5, "02_campaigns": 3}


@pytest.fixture(scope="module")
def demo(module_store: Any) -> Iterator[None]:
    """A store with the demo's simulated reports; kernels inherit its address."""
    load_demo(module_store.engine, reports=REPORTS, seed=7, months=18, end=dt.date(2025, 6, 30))
    yield


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_is_kept_without_its_outputs(path: Path) -> None:
    book = nbformat.read(path, 4)
    nbformat.validate(book)
    for cell in book.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None, cell.source
            assert "http" not in cell.source and "!pip" not in cell.source, cell.source
    assert set(book.metadata) <= {"kernelspec", "language_info"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
@pytest.mark.usefixtures("demo")
def test_a_notebook_runs_to_its_end_without_a_network(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The kernel's own files stay with the test, and whoever asks the network gets no answer.
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    book = nbformat.read(path, 4)
    # As Jupyter does, it starts in the notebook's folder; a failing cell raises CellExecutionError.
    client = NotebookClient(
        book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    )
    client.execute()
    shown = [
        output.data.get("text/html", "")
        for cell in book.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "execute_result"
    ]
    maps = [text for text in shown if "leaflet" in text]
    assert len(maps) >= MAPS[path.stem]
    assert not any("cdn" in text or "tile.openstreetmap" in text for text in maps)
