"""Settings: read from the environment, refused in words, explained in the documentation."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from data import settings as module
from data.settings import Settings, default_home, settings
from geo.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
DOCS = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in list(os.environ):
        if name == "DATABASE_URL" or (name.startswith("RASD_") and not name.startswith("RASD_TEST")):
            monkeypatch.delenv(name)
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_each_setting_is_explained_in_the_documentation(name: str) -> None:
    assert f"`RASD_{name.upper()}`" in DOCS


def test_each_variable_in_the_documentation_is_read_somewhere() -> None:
    scripts = "".join(
        (ROOT / name).read_text(encoding="utf-8") for name in ("tools/common.sh", "tests/conftest.py")
    )
    for name in set(re.findall(r"`(RASD_[A-Z_]+)`", DOCS)):
        assert name.removeprefix("RASD_").lower() in Settings.model_fields or name in scripts


def test_each_setting_has_a_description_and_a_default() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert not field.is_required(), name


def test_the_defaults_are_the_ones_that_the_documentation_states() -> None:
    found = settings()
    assert (found.port, found.address) == (8501, "127.0.0.1")
    assert (found.database_url, found.tile_url, found.tile_attribution, found.pg_bin) == (None,) * 4
    assert found.home == default_home()


@pytest.mark.parametrize(
    ("uid", "system", "xdg", "expected"),
    [
        (0, "linux", "/data", "/var/lib/rasd"),
        (1000, "linux", "", "/home/u/.local/share/rasd"),
        (1000, "linux", "/data", "/data/rasd"),
        (1000, "linux", "relative", "/home/u/.local/share/rasd"),
        (501, "darwin", "/data", "/home/u/Library/Application Support/Rasd"),
    ],
)
def test_the_home_suits_the_platform_and_the_user(
    monkeypatch: pytest.MonkeyPatch, uid: int, system: str, xdg: str, expected: str
) -> None:
    monkeypatch.setattr(module.os, "geteuid", lambda: uid)
    monkeypatch.setattr(module.sys, "platform", system)
    monkeypatch.setenv("HOME", "/home/u")
    monkeypatch.setenv("XDG_DATA_HOME", xdg)
    assert default_home() == Path(expected)


def test_a_relative_home_is_made_absolute_and_a_tilde_is_the_users_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RASD_HOME", "here/x")
    assert settings().home == tmp_path / "here" / "x"
    settings.cache_clear()
    monkeypatch.setenv("HOME", "/home/u")
    monkeypatch.setenv("RASD_HOME", "~/x")
    assert settings().home == Path("/home/u/x")


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RASD_PORT", "RASD_HOME", "DATABASE_URL"):
        monkeypatch.setenv(name, "")
    assert settings() == Settings()
    assert settings().port == 8501


def test_the_databases_own_variable_is_read_and_the_prefixed_one_wins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://a/b")
    assert settings().database_url == "postgresql://a/b"
    settings.cache_clear()
    monkeypatch.setenv("RASD_DATABASE_URL", "postgresql://c/d")
    assert settings().database_url == "postgresql://c/d"


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"RASD_PORT": "eighty"}, "RASD_PORT is 'eighty'"),
        ({"RASD_PORT": "70000"}, "RASD_PORT is '70000'"),
        ({"RASD_TILE_URL": "https://tiles.example/{z}/{x}"}, "{z}, {x} and {y}"),
        ({"RASD_TILE_URL": "https://tiles.example/{z}/{x}/{y}"}, "RASD_TILE_ATTRIBUTION"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        settings()
    assert words in str(caught.value)
    assert "docs/settings.md" in str(caught.value)
