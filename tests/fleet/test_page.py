"""The page at /ui in a real browser: what all hosts have, as it changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait
from support.browser import browser, door
from support.fleet_hosts import Hosts

SPITEFUL = "<img src=x onerror=document.title='spoiled'>"


@pytest.fixture(scope="module")
def at_work(fleet: Hosts) -> Hosts:
    """A service on each host, one that writes what a page had better not believe."""
    for host in fleet.hosts:
        host.make_image()
        host.run("docker", "run", "-d", "--name", "web", "-p", "8080:80", "busybox", "httpd", "-f", "-h", "/www")
    script = f'i=0; while :; do i=$((i+1)); echo "line $i {SPITEFUL}"; sleep 1; done'
    fleet[2].run("docker", "run", "-d", "--name", "ticker", "-l", f"note={SPITEFUL}", "busybox", "sh", "-c", script)
    return fleet


@pytest.fixture
def page(at_work: Hosts) -> Iterator[tuple[WebDriver, str]]:
    """The page of the first host, whose engine's socket is found through its first process."""
    pid = at_work.fleet.state()["hosts"]["h1"]["pid"]
    with door(Path(f"/proc/{pid}/root/run/seaway/engine.sock")) as url, browser() as opened:
        yield opened, f"{url}/ui"
        assert [each for each in opened.get_log("browser") if each["level"] == "SEVERE"] == []


def shown(page: WebDriver, text: str, place: str = "main") -> None:
    """Wait until a text is there to be read."""
    WebDriverWait(page, 30).until(
        lambda it: text in it.find_element(By.CSS_SELECTOR, place).text, f"never shown: {text}"
    )


def test_hosts_and_how_they_are(page: tuple[WebDriver, str]) -> None:
    it, url = page
    it.get(url)
    for name in ("h1", "h2", "h3"):
        WebDriverWait(it, 30).until(lambda it, name=name: it.find_elements(By.CSS_SELECTOR, f'[data-host="{name}"]'))
        shown(it, "ready", f'[data-host="{name}"]')
    shown(it, "live", "#link")
    shown(it, "test", "#fleet")


def test_containers_of_all_hosts_and_a_log_as_it_is_written(page: tuple[WebDriver, str]) -> None:
    it, url = page
    it.get(f"{url}/#containers")
    shown(it, "ticker")
    assert len(it.find_elements(By.CSS_SELECTOR, "tbody tr")) == 4
    it.find_element(By.CSS_SELECTOR, "input[type=search]").send_keys("ticker h2")
    WebDriverWait(it, 10).until(lambda it: len(it.find_elements(By.CSS_SELECTOR, "tbody tr")) == 1)
    it.find_element(By.CSS_SELECTOR, "tbody tr").click()
    shown(it, "line 1 ", "#drawer")
    begun = it.find_element(By.CSS_SELECTOR, "pre.log").text.count("line ")
    WebDriverWait(it, 30).until(lambda it: it.find_element(By.CSS_SELECTOR, "pre.log").text.count("line ") > begun + 2)
    shown(it, SPITEFUL, "#drawer")
    assert it.title == "Seaway", "a container has had the page run its script"


def test_what_happens_is_told_while_it_happens(page: tuple[WebDriver, str], at_work: Hosts) -> None:
    it, url = page
    it.get(f"{url}/#events")
    shown(it, "Nothing has happened")
    shown(it, "live", "#link")
    at_work[3].run("docker", "run", "--rm", "--name", "passing", "busybox", "sh", "-c", ":")
    shown(it, "passing")


def test_a_host_that_is_gone_is_said_to_be(page: tuple[WebDriver, str], at_work: Hosts) -> None:
    it, url = page
    it.get(url)
    shown(it, "live", "#link")
    at_work.unplug(3)
    try:
        shown(it, "No answer from h3")
    finally:
        at_work.plug(3)
    WebDriverWait(it, 60).until(lambda it: "No answer" not in it.find_element(By.CSS_SELECTOR, "main").text)
