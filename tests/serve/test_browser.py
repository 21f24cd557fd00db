"""The page and the report in a real browser, the service in a real process."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest
from PIL import Image

import convia as k

pytest.importorskip("fastapi", reason="the service needs FastAPI")
pytest.importorskip("uvicorn", reason="the service needs Uvicorn")
BROWSER, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    k.utils.set_random_seed(0)
    layers = [k.Input((8, 8, 1)), k.layers.Conv2D(4, 3, activation="relu", name="conv"), k.layers.Flatten()]
    model = k.Sequential([*layers, k.layers.Dense(3, activation="softmax")])
    model.class_names = ["cat", "dog", "<b>bird"]
    path = tmp_path_factory.mktemp("model") / "model.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def served(model_file):
    """Address and process of the service."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "convia", "serve", str(model_file), "--port", str(port)]
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, process.stderr.read().decode()
                time.sleep(0.1)
        yield address, process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    selenium = pytest.importorskip("selenium.webdriver", reason="tests of the page need selenium")
    if not (BROWSER and DRIVER):
        pytest.skip("tests of the page need chromium and chromedriver")
    options = selenium.ChromeOptions()
    options.binary_location = BROWSER
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('browser')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = selenium.Chrome(options=options, service=selenium.ChromeService(DRIVER))
    yield driver
    driver.quit()


def resize(browser, width):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def until(browser, script, seconds=15):
    end = time.monotonic() + seconds
    while not (found := browser.execute_script(f"return {script}")):
        assert time.monotonic() < end, (script, browser.get_log("browser"))
        time.sleep(0.05)
    return found


def fits(browser):
    """Nothing is wider than the window, and nothing was refused or failed."""
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


SHOWN = "!document.getElementById('seen').hidden && document.getElementById('maps').complete"


@pytest.mark.parametrize(("width", "lang"), [(1100, "en"), (390, "es")])
def test_a_file_is_classified_and_explained(served, browser, tmp_path, width, lang):
    resize(browser, width)
    browser.get(f"{served[0]}/?lang={lang}")
    until(browser, "document.getElementById('layer').options.length")
    Image.fromarray(np.arange(64, dtype="uint8").reshape(8, 8) * 4).save(tmp_path / "x.png")
    browser.find_element("id", "file").send_keys(str(tmp_path / "x.png"))
    until(browser, SHOWN)
    rows = [row.text.split("\n") for row in browser.find_elements("css selector", "#classes li")]
    assert {row[0] for row in rows} == {"cat", "dog", "<b>bird"}
    shares = [float(re.sub(r"[^\d.]", "", row[1].replace(",", "."))) for row in rows]
    assert shares == sorted(shares, reverse=True) and abs(sum(shares) - 100) < 0.5
    assert rows[0][0] in browser.find_element("id", "status").text
    assert until(browser, "document.getElementById('heat').naturalWidth") == 320
    assert browser.execute_script("return document.getElementById('layer').value") == "conv"
    other = browser.find_elements("css selector", "#classes button")[1]
    other.click()
    until(browser, f"document.getElementById('heat').alt.includes({rows[1][0]!r})")
    assert other.get_attribute("aria-pressed") == "true"
    fits(browser)


def test_drawing_by_keyboard(served, browser):
    resize(browser, 1100)
    browser.get(f"{served[0]}/?lang=en")
    pad = browser.find_element("id", "pad")
    black = browser.execute_script("return document.getElementById('pad').toDataURL()")
    down, right, enter = "\ue015", "\ue014", "\ue007"
    pad.send_keys(" ", down * 5, right * 5, " ", enter)
    until(browser, SHOWN)
    assert browser.execute_script("return document.getElementById('pad').toDataURL()") != black
    fits(browser)


def test_a_bad_file_is_told_of(served, browser, tmp_path):
    browser.get(f"{served[0]}/?lang=en")
    (tmp_path / "x.png").write_bytes(b"no image")
    browser.find_element("id", "file").send_keys(str(tmp_path / "x.png"))
    text = until(browser, "document.querySelector('#status.bad')?.textContent")
    assert text.startswith("That did not work: request: received file 1, which is no image")


def test_it_ends_when_told_to(served):
    address, process = served
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert process.returncode in (0, -signal.SIGTERM, 128 + signal.SIGTERM) and b"Traceback" not in errors
    with pytest.raises(OSError):
        urllib.request.urlopen(f"{address}/health", timeout=2)
