"""The page without a browser: opened at an address, run until its jobs are over, and read."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from streamlit.testing.v1 import AppTest

from data import demo_users, sign_in
from data.access import Session
from views import jobs

APP = str(Path(__file__).resolve().parent.parent.parent / "app.py")


def forget() -> None:
    """Drop all answers: tests share a process, and their stores share ids."""
    st.cache_data.clear()
    st.cache_resource.clear()
    jobs.DESK = jobs.Desk()


def open_page(**address: str) -> AppTest:
    """A page at an address, after one run, in a process that remembers nothing."""
    forget()
    return at(**address)


def at(**address: str) -> AppTest:
    """A page at an address, after one run."""
    page = AppTest.from_file(APP, default_timeout=120)
    for key, value in address.items():
        page.query_params[key] = value
    return page.run()


def person(login: str = demo_users.DEFAULT) -> Session:
    """A session of a simulated user, for what runs without a page: ``with access.held(person()):``."""
    return sign_in.by_choice(login)


def settle(page: AppTest) -> AppTest:
    """Run the page until no job of it is at work, as its own fragment would."""
    for _ in range(240):
        if not any(str(button.key).startswith("job_cancel") for button in page.button):
            return page
        page.run()
    raise AssertionError("the job never ended")


def shown(page: AppTest) -> str:
    """All HTML of the page but its styles and scripts; fails when the run did."""
    assert not page.exception
    bodies = (str(block.proto.body) for block in page.get("html"))
    return "\n".join(body for body in bodies if not body.startswith(("<style>", "<script>")))


def address(page: AppTest) -> dict[str, str]:
    return {key: value[0] if isinstance(value, list) else value for key, value in page.query_params.items()}
