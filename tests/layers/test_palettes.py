"""Palettes are even in lightness, in order for every kind of colour blindness, and stand out."""

from __future__ import annotations

import numpy as np
import pytest

from layers.palettes import DEFAULT, PALETTES

# Machado, Oliveira & Fernandes (2009), severity 1, for linear RGB.
BLINDNESS = {
    "none": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
ALL = [(name, theme) for name, themes in PALETTES.items() for theme in themes]


def linear(colours: tuple[str, ...]) -> np.ndarray:
    rgb = np.array([[int(c[k : k + 2], 16) for k in (1, 3, 5)] for c in colours]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def oklab(rgb: np.ndarray) -> np.ndarray:
    """Ottosson (2020)."""
    lms = (
        rgb
        @ np.array(
            [
                [0.4122214708, 0.5363325363, 0.0514459929],
                [0.2119034982, 0.6806995451, 0.1073969566],
                [0.0883024619, 0.2817188376, 0.6299787005],
            ]
        ).T
    )
    return (
        np.cbrt(lms.clip(0))
        @ np.array(
            [
                [0.2104542553, 0.7936177850, -0.0040720468],
                [1.9779984951, -2.4285922050, 0.4505937099],
                [0.0259040371, 0.7827717662, -0.8086757660],
            ]
        ).T
    )


@pytest.mark.parametrize(("name", "theme"), ALL)
def test_lightness_goes_in_even_steps_away_from_the_ground(name: str, theme: str) -> None:
    steps = np.diff(oklab(linear(PALETTES[name][theme]))[:, 0])
    direction = -1 if theme == "light" else 1
    assert (steps * direction > 0.09).all()
    assert np.ptp(steps) < 0.035


@pytest.mark.parametrize("blindness", BLINDNESS)
@pytest.mark.parametrize(("name", "theme"), ALL)
def test_neighbouring_classes_differ_for_every_eye(name: str, theme: str, blindness: str) -> None:
    seen = oklab((linear(PALETTES[name][theme]) @ np.array(BLINDNESS[blindness]).T).clip(0, 1))
    assert (np.linalg.norm(np.diff(seen, axis=0), axis=1) > 0.08).all()
    order = np.diff(seen[:, 0])
    assert (order < 0).all() or (order > 0).all()


def test_the_default_is_one_of_three() -> None:
    assert DEFAULT in PALETTES
    assert len(PALETTES) == 3
