"""What the pages show: commands as they are typed. A test parses all of them, and runs those of the engine in order."""

from __future__ import annotations

from typing import NamedTuple


class Shown(NamedTuple):
    """A command and what it is for."""

    says: str
    command: str


EXAMPLES: dict[str, tuple[Shown, ...]] = {
    "": (
        Shown(
            "Run a container and look at it:",
            "seaway run -d --init --name web -p 127.0.0.1:8080:80 busybox httpd -f\nseaway ps",
        ),
        Shown("See whether the engine and its host are well:", "seaway doctor"),
    ),
    "up": (
        Shown("Start the host's engine and go on working:", "seaway up --detach"),
        Shown(
            "Start a second engine, all of it in one directory, beside the host's own:",
            "seaway up --root /srv/trial --detach",
        ),
    ),
    "down": (
        Shown("Stop the engine; containers go on:", "seaway down"),
        Shown("Remove a private engine with everything that it made:", "seaway down --root /srv/trial --purge"),
    ),
    "watch": (Shown("Show what the services say to each other:", "seaway watch"),),
    "status": (Shown("Show the services, their versions and processes:", "seaway status"),),
    "doctor": (Shown("Look at the host, for a program:", "seaway doctor --json"),),
    "fsck": (
        Shown("See what differs between records and what is there:", "seaway fsck"),
        Shown("Settle it, and read every blob of every image:", "seaway fsck --mend --deep"),
    ),
    "upgrade": (
        Shown("See what would be done with the packages in a directory:", "seaway upgrade --from dist --dry-run"),
        Shown("Install them one by one, then have running shims follow:", "seaway upgrade --from dist --shims"),
    ),
    "rollback": (Shown("Take the daemon back to the version before:", "seaway rollback daemon"),),
    "pull": (Shown("Fetch an image:", "seaway pull busybox"),),
    "run": (
        Shown("Run a command and remove the container afterwards:", "seaway run --rm busybox echo hello"),
        Shown(
            "Run a service in the background, with a published port, a volume, limits and a restart policy:",
            "seaway run -d --init --name shop -p 127.0.0.1:8081:80 -v goods:/srv -m 64m --cpus 0.5 \\\n"
            "    --restart unless-stopped busybox httpd -f",
        ),
    ),
    "ps": (
        Shown("List those that run, and those that don't:", "seaway ps -a"),
        Shown("Ids alone, for other commands:", "seaway ps -aq"),
    ),
    "images": (Shown("List them:", "seaway images"),),
    "logs": (Shown("The last lines with their times:", "seaway logs -t --tail 10 web"),),
    "inspect": (Shown("All there is to know about a container and an image:", "seaway inspect web busybox"),),
    "exec": (
        Shown("Run a shell's command in a container, with a variable:", "seaway exec -e WHO=me web sh -c 'echo $WHO'"),
    ),
    "events": (Shown("Follow what happens:", "seaway events"),),
    "stop": (Shown("Stop two containers, with a second for each to end by itself:", "seaway stop -t 1 web shop"),),
    "start": (Shown("Start them again:", "seaway start web shop"),),
    "restart": (Shown("Stop and start one:", "seaway restart web"),),
    "kill": (Shown("Have a service read its configuration again:", "seaway kill -s HUP shop"),),
    "rm": (Shown("Remove containers that run, with their anonymous volumes:", "seaway rm -f -v web shop"),),
    "rmi": (Shown("Remove an image:", "seaway rmi busybox"),),
    "version": (Shown("Show the versions of engine and API:", "seaway version"),),
    "info": (Shown("Show what the engine is and has:", "seaway info"),),
}
"""By the verb's words after `seaway`."""
