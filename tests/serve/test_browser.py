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
from pathlib import Path

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
    layers = [
        k.Input((8, 8, 1)),
        k.layers.Conv2D(4, 3, activation="relu", name="conv"),
        k.layers.MaxPooling2D(name="pool"),
    ]
    model = k.Sequential([*layers, k.layers.Flatten(), k.layers.Dense(3, activation="softmax")])
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
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("picture") / "x.png"
    Image.fromarray(np.arange(64, dtype="uint8").reshape(8, 8) * 4).save(path)
    return str(path)


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


def colours(browser, name):
    """Have the screen light or dark."""
    features = [{"name": "prefers-color-scheme", "value": name}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


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


def accessible(browser):
    """axe-core finds nothing of serious or critical impact in what is shown."""
    axe = pytest.importorskip("axe_core_python", reason="the accessibility of the page is tested with axe-core-python")
    browser.execute_script(Path(axe.__file__).with_name("axe.min.js").read_text(encoding="utf-8"))
    found = browser.execute_async_script("axe.run().then(arguments[0])")
    assert found["passes"], "axe has looked at nothing"
    bad = [
        (each["id"], each["nodes"][0]["html"])
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]
    assert not bad


def opened(browser, served, lang="en", width=1100):
    resize(browser, width)
    browser.get(f"{served[0]}/?lang={lang}")
    until(browser, "document.getElementById('layer').options.length")


def pressed(browser, *keys):
    """Press keys, wherever the focus is; return what has it afterwards."""
    from selenium.webdriver import ActionChains

    ActionChains(browser).send_keys(*keys).perform()
    return browser.switch_to.active_element


SHOWN = "!document.getElementById('seen').hidden && document.getElementById('maps').complete"
DRAWN = "document.getElementById('pad').toDataURL()"
TAB, ENTER, DOWN, RIGHT = "\ue004", "\ue007", "\ue015", "\ue014"


@pytest.mark.parametrize(("width", "lang"), [(1100, "en"), (390, "es")])
def test_a_file_is_classified_and_explained(served, browser, picture, width, lang):
    opened(browser, served, lang, width)
    assert browser.find_element("tag name", "html").get_attribute("lang") == lang
    browser.find_element("id", "file").send_keys(picture)
    until(browser, SHOWN)
    rows = [row.text.split("\n") for row in browser.find_elements("css selector", "#classes li")]
    assert {row[0] for row in rows} == {"cat", "dog", "<b>bird"}
    shares = [float(re.sub(r"[^\d.]", "", row[1].replace(",", "."))) for row in rows]
    assert shares == sorted(shares, reverse=True) and abs(sum(shares) - 100) < 0.5
    said = browser.find_element("id", "status").text
    assert rows[0][0] in said and ("de certeza" if lang == "es" else "certain") in said
    assert until(browser, "document.getElementById('heat').naturalWidth") == 320
    assert browser.execute_script("return document.getElementById('layer').value") == "conv"
    other = browser.find_elements("css selector", "#classes button")[1]
    other.click()
    until(browser, f"document.getElementById('heat').alt.includes({rows[1][0]!r})")
    assert other.get_attribute("aria-pressed") == "true"
    accessible(browser)
    fits(browser)


def test_another_layer_is_shown(served, browser, picture):
    opened(browser, served)
    browser.find_element("id", "file").send_keys(picture)
    until(browser, SHOWN)
    assert "4 of 4 feature maps of conv (6 × 6)" in browser.find_element("id", "mapstext").text
    browser.find_element("css selector", "#layer option[value=pool]").click()
    until(browser, "document.getElementById('mapstext').textContent.includes('pool (3 × 3)')")


def test_the_language_is_switched(served, browser):
    opened(browser, served)
    accessible(browser)
    browser.find_element("css selector", "header a").click()
    until(browser, "document.documentElement.lang === 'es'")
    assert browser.find_element("tag name", "h1").text == "¿Qué hay en la imagen?"
    assert browser.find_element("id", "classify").text == "Clasificar el dibujo"


def test_drawing_by_mouse(served, browser):
    from selenium.webdriver import ActionChains

    opened(browser, served)
    pad = browser.find_element("id", "pad")
    black = browser.execute_script(f"return {DRAWN}")
    ActionChains(browser).move_to_element_with_offset(pad, -60, -60).click_and_hold().move_by_offset(
        90, 90
    ).release().perform()
    until(browser, SHOWN)
    drawn = browser.execute_script(f"return {DRAWN}")
    assert drawn != black
    browser.find_element("id", "clear").click()
    assert browser.execute_script(f"return {DRAWN}") == black
    browser.find_element("id", "dark").click()
    assert browser.execute_script(f"return {DRAWN}") not in (black, drawn)
    fits(browser)


def test_everything_by_keyboard(served, browser):
    opened(browser, served)
    black = browser.execute_script(f"return {DRAWN}")
    found = [pressed(browser, TAB).get_attribute("id") or "link" for _ in range(3)]
    assert found == ["link", "file", "pad"]
    pressed(browser, " ", DOWN * 5, RIGHT * 5, " ", ENTER)
    until(browser, SHOWN)
    assert browser.execute_script(f"return {DRAWN}") != black
    found = [pressed(browser, TAB).get_attribute("id") for _ in range(3)]
    assert found == ["classify", "clear", "dark"]
    pressed(browser, TAB)  # the likeliest class
    second = pressed(browser, TAB, ENTER)
    until(browser, f"document.getElementById('heat').alt.includes({second.text.split(chr(10))[0]!r})")
    assert second.get_attribute("aria-pressed") == "true"
    pressed(browser, TAB)  # the least likely class
    strength = pressed(browser, TAB)
    before = browser.execute_script("return document.getElementById('heat').style.opacity")
    assert strength.get_attribute("id") == "strength" and pressed(browser, RIGHT)
    assert browser.execute_script("return document.getElementById('heat').style.opacity") != before
    assert pressed(browser, TAB).get_attribute("id") == "layer"
    pressed(browser, DOWN)
    until(browser, "document.getElementById('mapstext').textContent.includes('pool (3 × 3)')")
    fits(browser)


def test_a_bad_file_is_told_of(served, browser, tmp_path):
    opened(browser, served)
    (tmp_path / "x.png").write_bytes(b"no image")
    browser.find_element("id", "file").send_keys(str(tmp_path / "x.png"))
    text = until(browser, "document.querySelector('#status.bad')?.textContent")
    assert text.startswith("That did not work: request: received file 1, which is no image")
    accessible(browser)
    assert "415" in browser.get_log("browser")[0]["message"]  # and is forgotten


def test_the_report_is_accessible(browser, tmp_path):
    """A report of three classes with mistakes, opened as a file; a cell of the confusion matrix opens its images."""
    from convia.cli.settings import Settings
    from convia.cli.train import train

    for name in ("a", "b", "c"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(12):
            pixels = np.random.default_rng(ord(name) + number).integers(0, 255, (8, 8, 3), "uint8")
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")
    chosen = Settings(str(tmp_path / "images"), "course", epochs=2, output=str(tmp_path / "run"), lang="es")
    train(chosen)
    for width in (390, 1100):
        resize(browser, width)
        browser.get((tmp_path / "run" / "report.html").as_uri())
        fits(browser)
    accessible(browser)
    paper = "getComputedStyle(document.body).backgroundColor"
    light = browser.execute_script(f"return {paper}")
    colours(browser, "dark")
    assert browser.execute_script(f"return {paper}") != light
    accessible(browser)
    cell = browser.find_element("css selector", "table.confusion a")
    images = browser.find_element("css selector", f"[id='{cell.get_attribute('href').partition('#')[2]}']")
    assert not images.is_displayed()
    cell.send_keys(ENTER)
    assert images.is_displayed() and images.find_elements("tag name", "img")
    accessible(browser)
    colours(browser, "light")
    accessible(browser)


def test_it_ends_when_told_to(served, browser, picture):
    opened(browser, served)
    address, process = served
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert process.returncode in (0, -signal.SIGTERM, 128 + signal.SIGTERM) and b"Traceback" not in errors
    with pytest.raises(OSError):
        urllib.request.urlopen(f"{address}/health", timeout=2)
    browser.find_element("id", "file").send_keys(picture)
    text = until(browser, "document.querySelector('#status.bad')?.textContent")
    assert text == "That did not work: the service does not answer"
