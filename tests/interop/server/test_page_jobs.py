"""Jobs on the page: made, followed and ended in a browser."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from playwright.sync_api import Browser, Page, expect

from penstock.control import ListenerView, ServerView
from penstock.job_service import JobService
from penstock.settings import Settings, StorageSettings
from penstock.web import create_app

if TYPE_CHECKING:
    from tests.interop.server.conftest import Server

pytestmark = [pytest.mark.interop, pytest.mark.slow]

SERVER = ServerView(
    id="i",
    service_id="s",
    version="0.1",
    pid=4,
    started_at=0.0,
    uptime_s=1000.0,
    listeners=(),
    sessions=0,
    sessions_total=0,
    session_errors_total=0,
    streams=0,
    bytes_received=0,
    bytes_sent=0,
    loop_stall_s=0.0,
)


class JobPage(threading.Thread):
    """The page and its jobs, which publish to a server of their own."""

    def __init__(self, folder: Path, control: Any, rtmp_port: int) -> None:
        super().__init__(daemon=True)
        self._settings = Settings(storage=StorageSettings(dir=str(folder)))
        self._control = control
        self._rtmp = ListenerView("rtmp", "127.0.0.1", rtmp_port, False)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._end = threading.Event()
        self.failure: BaseException | None = None
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"

    def run(self) -> None:
        try:
            trio.run(self._serve)
        except BaseException as failure:
            self.failure = failure

    async def _serve(self) -> None:
        settings = self._settings
        config = Config()
        config.bind = [f"fd://{self._socket.detach()}"]
        config.errorlog = None
        config.shutdown_timeout = 0.1
        ended = trio.Event()

        async def wait_for_end() -> None:
            await trio.to_thread.run_sync(self._end.wait)
            await service.jobs.stop()
            ended.set()

        async with JobService.opened(settings) as service:
            app = create_app(self._control, lambda: settings, jobs=service.jobs)
            async with trio.open_nursery() as nursery:
                await nursery.start(service.run, settings, [self._rtmp])
                nursery.start_soon(wait_for_end)
                await serve(app, config, shutdown_trigger=ended.wait)
                nursery.cancel_scope.cancel()

    def close(self) -> None:
        self._end.set()
        self.join(15)
        assert not self.is_alive()
        assert self.failure is None


@pytest.fixture
def job_page(server: Server, fake_control: Any, tmp_path: Path) -> Iterator[JobPage]:
    """A page whose jobs publish to the tests' server."""
    page = JobPage(tmp_path / "state", fake_control(SERVER), server.ports["rtmp"])
    page.start()
    yield page
    page.close()


@pytest.fixture
def open_page(browser: Browser, job_page: JobPage) -> Iterator[Callable[..., Page]]:
    """Open it; nothing may go wrong in its scripts."""
    complaints: list[str] = []
    pages: list[Page] = []

    def opened(**options: Any) -> Page:
        page = browser.new_page(**options)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda message: (
                complaints.append(message.text) if message.type == "error" else None
            ),
        )
        page.set_default_timeout(60_000)
        page.goto(job_page.address, wait_until="load")
        pages.append(page)
        return page

    yield opened
    for page in pages:
        page.close()
    # Chromium itself reports each answer that is no success.
    assert [text for text in complaints if "Failed to load" not in text] == []


def test_a_test_picture_is_made_followed_restarted_and_deleted(
    open_page: Callable[..., Page], server: Server, stream_name: str
) -> None:
    expect.set_options(timeout=60_000)
    page = open_page()
    page.click("#job-new")
    expect(page.locator("#job-template")).to_be_focused()
    # What is wrong is said while it is typed, and not before.
    expect(page.locator("#job-form .wrong:not(:empty)")).to_have_count(0)
    page.fill("#job-field-name", "a b")
    expect(page.locator("#job-field-name-error")).to_contain_text("letters")
    expect(page.locator("#job-field-name")).to_have_attribute("aria-invalid", "true")
    page.fill("#job-field-name", stream_name)
    expect(page.locator("#job-field-name-error")).to_be_empty()
    page.select_option("#job-field-size", "640x360")
    page.click("#job-form summary")
    expect(page.locator("#job-command")).to_contain_text("size=640x360")
    page.press("#job-field-name", "Enter")

    row = page.locator("#job-list .job")

    def press(label: str) -> None:
        name = f"{label} picture-{stream_name}"
        row.get_by_role("button", name=name, exact=True).click()

    expect(row).to_have_count(1)
    expect(page.locator("#job-form")).to_be_hidden()
    expect(row.locator("[data-part=name]")).to_have_text(f"picture-{stream_name}")
    expect(row.locator("[data-part=state]")).to_contain_text("Running")
    expect(row.locator("[data-part=rate]")).to_contain_text("fps")
    expect(row.locator("[data-part=load]")).to_contain_text("MB")
    server.wait_for_frames(stream_name, 10)
    publisher = server.publisher(stream_name)
    assert publisher is not None

    row.locator("summary").click()
    expect(row.locator("[data-part=command]")).to_contain_text("testsrc2")
    expect(row.locator("[data-part=log]")).to_contain_text("Output #0, flv")

    press("Restart")
    expect(page.locator("#toast")).to_contain_text("Restarted")
    server.wait_until(
        lambda: (
            (again := server.publisher(stream_name)) is not None
            and again["id"] != publisher["id"]
        ),
        "another publisher",
    )
    press("Stop")
    expect(row.locator("[data-part=state]")).to_have_text("Stopped")
    expect(row.locator("[data-part=restart]")).to_be_hidden()
    press("Start")
    expect(row.locator("[data-part=state]")).to_contain_text("Running")

    delete = row.locator("[data-part=delete]")
    delete.click()
    expect(delete).to_have_text("Sure?")
    delete.click()
    expect(row).to_have_count(0)
    expect(page.locator("#no-jobs")).to_be_visible()
