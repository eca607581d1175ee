"""A headless Chromium for the tests of the report; skips, with the reason, where there is none."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--disable-dev-shm-usage",
)


def start(profile: Path) -> Iterator[Any]:
    """A browser with a profile of its own, ended afterwards."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    service = pytest.importorskip("selenium.webdriver.chrome.service")
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("no chromium with chromedriver here (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=service.Service(driver))
    chrome.set_script_timeout(600)  # a busy machine is no violation
    try:
        yield chrome
    finally:
        chrome.quit()


def axe() -> str:
    """The script of axe-core, which scripts/test.sh installs; skips where it is not."""
    path = Path(sys.prefix) / "node_modules/axe-core/axe.min.js"
    if not path.exists():
        pytest.skip("no axe-core here (scripts/test.sh installs it where npm is)")
    return path.read_text(encoding="utf-8")


def resize(chrome: Any, width: int) -> None:
    """A viewport of ``width`` CSS pixels: a window cannot be that narrow."""
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def prefer(chrome: Any, scheme: str) -> None:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
