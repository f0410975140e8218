"""Chromium, as people see a page in it."""

import logging
import shutil

import pytest

FLAGS = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking "
FLAGS += "disable-component-update disable-sync disable-dev-shm-usage"


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("needs a browser: apt-get install chromium chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver")
    for library in ("selenium", "urllib3"):
        logging.getLogger(library).setLevel(logging.WARNING)
    folder = tmp_path_factory.mktemp("browser")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in [*FLAGS.split(), f"user-data-dir={folder / 'profile'}"]:
        options.add_argument(f"--{flag}")
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    with webdriver.Chrome(options=options, service=service) as chromium:
        chromium.implicitly_wait(10)  # until there is what a test looks for
        chromium.folder = folder
        yield chromium
