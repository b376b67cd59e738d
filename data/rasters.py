"""Writes a density as GeoTIFF: float32 reports per km² in its UTM zone, nodata outside the area."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from data.analyses.density import DensityResult
from geo.errors import InputError

NODATA = -1.0


def write_geotiff(found: DensityResult, path: Path) -> None:
    """Write the surface to ``path``; its tags say unit, kernel, bandwidth and question.

    Raises
    ------
    InputError : there is no surface, or the file cannot be written.
    """
    try:
        path.write_bytes(geotiff_bytes(found))
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}): choose another place.") from error


def geotiff_bytes(found: DensityResult) -> bytes:
    """The surface as a compressed GeoTIFF, first row in the north."""
    import rasterio
    from rasterio.transform import Affine

    surface = found.surface
    if surface is None:
        raise InputError("No report fits: there is no density to write. Choose other filters.")
    values = np.where(surface.inside, surface.values, NODATA).astype(np.float32)
    tags = {key: str(value) for key, value in found.summary().items() if value is not None}
    body = io.BytesIO()
    with rasterio.open(
        body,
        "w",
        driver="GTiff",
        width=values.shape[1],
        height=values.shape[0],
        count=1,
        dtype="float32",
        crs=surface.crs.to_wkt(),
        transform=Affine(*surface.frame.transform),
        nodata=NODATA,
        compress="deflate",
        predictor=3,
    ) as file:
        file.write(values, 1)
        file.set_band_description(1, "reports per km2")
        file.update_tags(unit="reports per km2", **tags)
    return body.getvalue()
