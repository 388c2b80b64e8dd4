"""The main function all services share: command line, settings, logging, the loop, the exit code."""

from __future__ import annotations

import argparse
import asyncio
import logging
import selectors
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from seaway_service import logs
from seaway_service.descriptors import metrics_listener
from seaway_service.lifecycle import Lifecycle
from seaway_service.process_metrics import Turns, process
from seaway_service.scraping import Scraped
from seaway_service.selftest import unusable
from seaway_service.settings import Settings, SettingsError, load, load_with_sources

AnySettings = TypeVar("AnySettings", bound=Settings)

Watch = Callable[[selectors.BaseSelector], selectors.BaseSelector]
"""What a loop's selector is put into, so that it is seen how busy the loop is."""

EXIT_CONFIG = 78
"""sysexits(3)'s EX_CONFIG: systemd units don't restart a service that its settings forbid to start."""


def run(
    name: str,
    version: str,
    kind: type[AnySettings],
    serve: Callable[[AnySettings, Lifecycle], Awaitable[None]],
    argv: list[str] | None = None,
    *,
    loop: Callable[[Watch], asyncio.AbstractEventLoop] | None = None,
) -> int:
    """Parse `argv`, load the settings, run `serve` until it returns, and return the exit code.

    `serve` gets the settings and the lifecycle; it calls `lifecycle.ready()` when the bus is served, waits for
    `lifecycle.stopping`, and cleans up after itself. Any exception it lets out ends the process with 1. `loop` makes
    the event loop, asyncio's own kind by default. Log level and format change at SIGHUP, and what the service says can
    (`lifecycle.on_reload`); metrics are served on `<run_dir>/metrics/<service>.sock` (`lifecycle.metrics`).
    """
    options = command_line(name, version).parse_args(argv)
    try:
        loaded = load_with_sources(kind, options.config)
    except SettingsError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return EXIT_CONFIG
    settings = loaded.settings
    if options.settings:
        from seaway_service.effective import effective  # for a person, not for a service

        print(effective(loaded), end="")
        return 0
    if options.selftest:
        return _selftest(name, version)
    logs.configure(settings.log_level, settings.log_format, name)
    lifecycle, turns = Lifecycle(name.removeprefix("seaway-")), Turns()
    lifecycle.reloads(settings, lambda: load(kind, options.config))
    lifecycle.on_reload(lambda new: logs.configure(new.log_level, new.log_format, name), "log_level", "log_format")
    lifecycle.metrics.add(lambda: process(version))
    lifecycle.metrics.add(turns.families)
    try:
        with asyncio.Runner(loop_factory=lambda: (loop or _loop)(turns.watch)) as runner:
            return runner.run(_serve(serve, settings, lifecycle))
    except KeyboardInterrupt:
        return 130
    except Exception:
        logging.getLogger(name).exception("Cannot go on")
        return 1


def _selftest(name: str, version: str) -> int:
    problems = list(unusable(name.replace("-", "_")))
    for problem in problems:
        print(f"{name} {version}: {problem}", file=sys.stderr)
    if not problems:
        print(f"{name} {version} works here")
    return 1 if problems else 0


def _loop(watch: Watch) -> asyncio.AbstractEventLoop:
    return asyncio.SelectorEventLoop(watch(selectors.DefaultSelector()))


async def _serve(
    serve: Callable[[AnySettings, Lifecycle], Awaitable[None]], settings: AnySettings, lifecycle: Lifecycle
) -> int:
    lifecycle.install()
    scraped = await Scraped.open(lifecycle.metrics, Path(settings.run_dir, "metrics"), metrics_listener())
    try:
        await serve(settings, lifecycle)
    finally:
        if scraped:
            scraped.close()
    return lifecycle.exit_code


def command_line(name: str, version: str) -> argparse.ArgumentParser:
    """The options that every service has."""
    parser = argparse.ArgumentParser(prog=name, allow_abbrev=False)
    parser.add_argument(
        "--config",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="settings, TOML; repeatable, later ones win",
    )
    parser.add_argument("--settings", action="store_true", help="print what holds and which file says so, and end")
    parser.add_argument("--selftest", action="store_true", help="see whether this version can run here, and end")
    parser.add_argument("--version", action="version", version=f"{name} {version}")
    return parser
