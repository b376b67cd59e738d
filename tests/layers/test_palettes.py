"""Palettes are even in lightness, in order for every kind of colour blindness, and stand out."""

from __future__ import annotations

import numpy as np
import pytest

from layers.palettes import (
    CLUSTERS,
    DEFAULT,
    DIVERGING,
    EMERGING,
    NEUTRAL,
    NOT_DRAWN,
    PALETTES,
    Shade,
    sequential,
)

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


# ---- classes of methods ----


def seen(colours: tuple[str, ...], blindness: str) -> np.ndarray:
    return oklab((linear(colours) @ np.array(BLINDNESS[blindness]).T).clip(0, 1))


def arm(shades: list[Shade], theme: str) -> tuple[str, ...]:
    return tuple(getattr(shade, theme) for shade in shades)


def arms(scheme: str) -> tuple[list[Shade], list[Shade]]:
    """The warm and the cool classes, the strongest first."""
    if scheme == "diverging":
        return [DIVERGING[f"hot{k}"] for k in (99, 95, 90)], [DIVERGING[f"cold{k}"] for k in (99, 95, 90)]
    hot = [shade for code, shade in EMERGING.items() if code.startswith("hot_")]
    return hot, [shade for code, shade in EMERGING.items() if code.startswith("cold_")]


@pytest.mark.parametrize("blindness", BLINDNESS)
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("scheme", "step"), [("diverging", 0.13), ("emerging", 0.065)])
def test_both_arms_rise_in_strength_and_are_told_apart_by_every_eye(
    scheme: str, step: float, theme: str, blindness: str
) -> None:
    hot, cold = (seen(arm(a, theme), blindness) for a in arms(scheme))
    for colours in (hot, cold):
        assert (np.linalg.norm(np.diff(colours, axis=0), axis=1) > step).all()
        order = np.diff(colours[:, 0])  # from the strongest to the weakest: towards the ground
        assert (order > 0).all() if theme == "light" else (order < 0).all()
    between = np.linalg.norm(hot[:, None] - cold[None], axis=2)
    assert between.min() > 0.1


@pytest.mark.parametrize("scheme", [DIVERGING, CLUSTERS, EMERGING])
def test_no_class_that_is_more_than_chance_is_told_by_its_colour_alone(scheme: dict[str, Shade]) -> None:
    assert all(bool(shade.mark) == (code != "none") for code, shade in scheme.items())
    assert scheme["none"] == NOT_DRAWN


def test_hot_and_cold_have_marks_of_their_own_where_they_are_compared() -> None:
    assert {s.mark for c, s in DIVERGING.items() if c.startswith("hot")} == {"up"}
    assert {s.mark for c, s in DIVERGING.items() if c.startswith("cold")} == {"down"}
    assert len({s.mark for s in CLUSTERS.values()}) == len(CLUSTERS)


def test_the_seventeen_classes_are_eight_patterns_twice_and_none() -> None:
    assert len(EMERGING) == 17
    assert len(set(EMERGING.values())) == 17
    hot, cold = arms("emerging")
    assert [s.mark for s in hot] == [s.mark for s in cold]
    # Two patterns with one mark lie at least three steps of shade apart.
    for k, one in enumerate(hot):
        for n, other in enumerate(hot):
            assert k == n or one.mark != other.mark or abs(k - n) >= 3


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_quiet_class_is_quieter_than_every_other(theme: str) -> None:
    ground = {"light": "#fbfaf6", "dark": "#182024"}[theme]
    quiet, land = oklab(linear((getattr(NEUTRAL, theme), ground)))
    others = oklab(linear(arm([s for s in [*DIVERGING.values(), *EMERGING.values()] if s.light], theme)))
    assert (
        np.abs(others[:, 0] - land[0]) + np.hypot(*others[:, 1:].T) > abs(quiet[0] - land[0]) + 0.02
    ).all()
    assert np.hypot(*quiet[1:]) < 0.02  # without a hue


@pytest.mark.parametrize("classes", range(1, 7))
def test_a_sequential_palette_of_any_length_keeps_its_ends(classes: int) -> None:
    shades = sequential(classes, "gulf", "dot")
    assert len(set(shades)) == classes
    assert {s.mark for s in shades} == {"dot"}
    if classes > 1:
        assert (shades[0].light, shades[-1].light) == (
            PALETTES["gulf"]["light"][0],
            PALETTES["gulf"]["light"][-1],
        )


def test_a_sequential_palette_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="1 to 6 classes, not 7"):
        sequential(7)
