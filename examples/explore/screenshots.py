"""Pictures of the explorer, as docs/explorer.md shows them: screenshots.py URL FOLDER

Of a running `fairseq-ebm explore`, in Chromium (apt-get install chromium chromium-driver).
"""

import argparse
import io
import shutil
import time
from pathlib import Path
from typing import Any, Optional, Sequence

from PIL import Image
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

WIDTH, PHONE = 1100, 390
SECONDS, MOST, COLOURS = 180, 2400, 96
ASKING = ("write", "likely", "judge")  # of the example that the page begins with


def browser(dark: bool = False, width: int = WIDTH) -> Any:
    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))))
    flags = ["headless=new", "no-sandbox", "disable-gpu", "hide-scrollbars"]
    for flag in [*flags, *(["force-dark-mode", "enable-features=WebUIDarkMode"] if dark else [])]:
        options.add_argument(f"--{flag}")
    found = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(shutil.which("chromedriver"))
    )
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    found.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    found.set_window_size(width, 900)
    return found


def taken(chromium: Any, out: Path, width: int) -> None:
    """The page, and its beginning if it is very long."""
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False})  # fmt: skip
    height = chromium.execute_script("return document.documentElement.scrollHeight")
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})  # fmt: skip
    time.sleep(0.5)
    shown = Image.open(io.BytesIO(chromium.get_screenshot_as_png())).convert("RGB")
    shown = shown.crop((0, 0, shown.width, min(shown.height, MOST)))
    shown.quantize(COLOURS).save(out, optimize=True)


def done(chromium: Any, css: str) -> None:
    script = f"return document.querySelector('{css}').getAttribute('aria-busy') === 'false'"
    WebDriverWait(chromium, SECONDS).until(lambda browser: browser.execute_script(script))


def show(chromium: Any, url: str, part: str) -> None:
    chromium.get(f"{url}#{part}")
    chromium.refresh()
    time.sleep(1)
    if part in ASKING:
        chromium.find_element("css selector", f"#{part} button.main").click()
        done(chromium, f"#{part}")
    if part == "likely":
        chromium.find_element("css selector", ".bars li:nth-child(41) button").click()
        gone = "return document.querySelector('.next progress').hidden"
        WebDriverWait(chromium, SECONDS).until(lambda browser: browser.execute_script(gone))
    if part == "judge":
        chromium.find_element("css selector", ".colours li:nth-child(9) button").click()
    if part == "results":
        time.sleep(5)


def main(words: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    given = parser.parse_args(words)
    given.folder.mkdir(parents=True, exist_ok=True)
    for dark, width in ((False, WIDTH), (True, PHONE)):
        chromium = browser(dark, width)
        try:
            for part in ("write",) if dark else (*ASKING, "results"):
                show(chromium, given.url, part)
                name = f"explore.{part}{'.phone' if dark else ''}.png"
                taken(chromium, given.folder / name, width)
                print(given.folder / name)
        finally:
            chromium.quit()


if __name__ == "__main__":
    main()
