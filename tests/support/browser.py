"""A real browser without a screen, and a way for it to an engine's unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

_QUIET = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
_OFFLINE = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server")


@contextlib.contextmanager
def browser(width: int = 1400, height: int = 900, dark: bool = False) -> Iterator[webdriver.Chrome]:
    """Debian's Chromium for the time of a `with`; skips the test where it isn't installed."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("needs a browser: apt-get install chromium chromium-driver")
    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = program
        for each in (*_QUIET, *_OFFLINE, f"--window-size={width},{height}", f"--user-data-dir={profile}"):
            options.add_argument(each)
        if dark:
            options.add_argument("--force-dark-mode")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        opened = webdriver.Chrome(options=options, service=Service(driver))
        try:
            yield opened
        finally:
            opened.quit()


@contextlib.contextmanager
def door(socket: Path) -> Iterator[str]:
    """The engine behind a unix socket as `http://127.0.0.1:<port>`, for the time of a `with`."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(_serve(socket), loop).result()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _serve(socket: Path) -> asyncio.Server:
    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        sink.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        engine_reader, engine_writer = await asyncio.open_unix_connection(socket)
        await asyncio.gather(pump(reader, engine_writer), pump(engine_reader, writer))

    return await asyncio.start_server(connected, "127.0.0.1", 0)


async def _end(server: asyncio.Server) -> None:
    server.close()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
