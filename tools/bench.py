"""./bench: lists the benchmarks of tests/bench, or runs one and prints its figures.

A benchmark is a module with ``DESCRIPTION``, and ``run(rows, ...)`` that returns its
figures as a dictionary. Each run gets a private cluster of its own with the settings of
the real one, migrated and empty, behind ``data.database``; it is removed afterwards.
Caveat: figures depend on the machine and on what else it does; ratios do so less.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from data import database, schema
from data.cluster import Cluster
from data.settings import settings
from geo.errors import InputError, RasdError

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "bench"

USAGE = """Usage: ./bench                             list the benchmarks
       ./bench NAME [--rows N] [--json]    run one; --json prints one JSON object
Further options --NAME VALUE are handed to the benchmark, which names those it knows.
Example: ./bench ingest --rows 1000000 --json"""


def names() -> list[str]:
    """The benchmarks there are."""
    return sorted(p.stem for p in FOLDER.glob("*.py") if not p.name.startswith(("_", "test_")))


def load(name: str) -> ModuleType:
    """The module of a benchmark.

    Raises
    ------
    InputError
        There is none of that name.
    """
    if name not in names():
        raise InputError(f"There is no benchmark {name!r}. There are: {', '.join(names()) or 'none yet'}.")
    spec = importlib.util.spec_from_file_location(f"bench_{name}", FOLDER / f"{name}.py")
    if spec is None or spec.loader is None:
        raise InputError(f"The benchmark {name!r} cannot be loaded.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def own_store() -> Iterator[None]:
    """An empty, migrated store in a cluster of its own, for as long as the block runs."""
    home = Path(tempfile.mkdtemp(prefix="rasd-bench-", dir="/tmp"))
    before = dict(os.environ)
    os.environ["RASD_HOME"] = str(home)
    for name in ("DATABASE_URL", "RASD_DATABASE_URL", "RASD_HELD"):
        os.environ.pop(name, None)
    database.release()
    settings.cache_clear()
    try:
        schema.upgrade(database.engine())
        yield
    finally:
        database.release()
        Cluster(home).destroy()
        shutil.rmtree(home)
        os.environ.clear()
        os.environ.update(before)
        settings.cache_clear()


def parse(arguments: list[str]) -> tuple[str | None, dict[str, Any], bool]:
    """Name, options for the benchmark, and whether JSON is wanted.

    Raises
    ------
    InputError
        An option has no value, or the number of rows is not one.
    """
    name: str | None = None
    options: dict[str, Any] = {}
    as_json = False
    rest = [part for a in arguments for part in (a.split("=", 1) if a.startswith("--") else [a])]
    while rest:
        word = rest.pop(0)
        if word == "--json":
            as_json = True
        elif word.startswith("--"):
            if not rest:
                raise InputError(f"The option {word} needs a value.\n{USAGE}")
            options[word[2:].replace("-", "_")] = _value(rest.pop(0))
        elif name is None:
            name = word
        else:
            raise InputError(f"{word!r} is one word too many.\n{USAGE}")
    rows = options.get("rows", 1)
    if not isinstance(rows, int) or rows < 1:
        raise InputError(f"--rows is {rows!r}; it is a whole number of at least 1.")
    return name, options, as_json


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text.replace("_", ""))
    return text


def call(module: ModuleType, options: dict[str, Any]) -> dict[str, Any]:
    """Run a benchmark with the options it knows; what it prints goes to standard error."""
    known = inspect.signature(module.run).parameters
    unknown = sorted(set(options) - set(known))
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in known.values()):
        raise InputError(f"This benchmark has no option --{unknown[0]}; it knows --{', --'.join(known)}.")
    with contextlib.redirect_stdout(sys.stderr):
        figures: dict[str, Any] = module.run(**({"rows": None} | options))
    return figures


def main(arguments: list[str]) -> int:
    """Entry point; the exit code is 0 only if the benchmark ran."""
    if any(word in ("-h", "--help") for word in arguments):
        print(USAGE)
        return 0
    try:
        name, options, as_json = parse(arguments)
        if name is None:
            listing = {each: load(each).DESCRIPTION for each in names()}
            if as_json:
                print(json.dumps(listing, ensure_ascii=False))
            for each, description in listing.items() if not as_json else ():
                print(f"{each:<12} {description}")
            return 0
        module = load(name)
        began = time.perf_counter()
        with own_store():
            figures = call(module, options)
    except RasdError as error:
        print(f"rasd: {error}", file=sys.stderr)
        return 1
    result = {"bench": name, **figures, "total_seconds": round(time.perf_counter() - began, 2)}
    if as_json:
        print(json.dumps(result, ensure_ascii=False, default=float))
    else:
        print(module.DESCRIPTION)
        for key, value in result.items():
            print(f"  {key:<24} {f'{value:,.3f}' if isinstance(value, float) else value}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
