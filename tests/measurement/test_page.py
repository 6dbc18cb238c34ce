"""The report page: what is in it, and what a browser makes of it."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from result_files import one

from qcnn_tflite.cli import main
from qcnn_tflite.errors import DataError
from qcnn_tflite.measurement import pictures
from qcnn_tflite.measurement.page import conversion_page, results_page
from qcnn_tflite.report import ConversionReport, LayerReport

REPORT = ConversionReport(
    model="tiny <net>",
    config="paper",
    layers=[
        LayerReport("conv1", "conv", (8, 3, 3, 3), "float", "too small", None, None, None, 900, 900, 100, 100),
        LayerReport("fc", "fc", (64, 1, 1, 32), "quantized", "", 8, 16, 4, 8192, 1024, 2048, 1024, 0.01),
    ],
    float_bytes=10_000,
    quantized_bytes=2_000,
    notes=["weights alone & no images"],
)  # fmt: skip


class _Structure(HTMLParser):
    """Ids, references and whether every tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.external: list[str] = []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if "id" in found:
            self.ids.append(found["id"])
        for name in ("src", "href", "xlink:href"):
            if name in found and not found[name].startswith(("#", "data:")):
                self.external.append(found[name])
        if tag not in ("meta", "link", "input", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def _structure(page: str) -> _Structure:
    found = _Structure()
    found.feed(page)
    assert found.open == []
    return found


def test_the_page_is_whole_and_needs_no_network(result_file):
    page = results_page([result_file()])
    found = _structure(page)
    assert found.external == []
    assert len(found.ids) == len(set(found.ids))
    assert "@import" not in page
    assert set(re.findall(r"url\(([^)]*)\)", page)) <= {f"#{name}" for name in found.ids}
    assert set(re.findall(r'href="#([^"]*)"', page)) <= set(found.ids)
    # No colour of the charts is fixed: the scheme sets them all.
    charts = "".join(re.findall(r"<svg.*?</svg>", page, re.S))
    assert charts
    assert "var(--q)" in charts
    assert not re.search(r"#[0-9a-f]{6}\b", charts)


def test_what_the_page_says(result_file):
    page = results_page([result_file()])
    for text in ("8.00x", "20.00x", "48.00 %", "float, our LRN", "46.00 to 54.00 %"):
        assert text in page
    assert "ncnn is &lt;not&gt; installed" in page
    assert "int8, stock LRN is partial: 3 of 50 runs: interrupted" in page
    assert page.count("<figure") == 5  # accuracy; latency, size, layers, speed-ups
    figures = re.findall(r"<figure.*?</figure>(.*?)</table>", page, re.S)
    assert all("<table>" in after for after in figures)


def test_the_page_of_a_conversion(tmp_path, result_file):
    page = conversion_page(REPORT.to_dict())
    _structure(page)
    assert "tiny &lt;net&gt;" in page
    assert "weights alone &amp; no images" in page
    assert "float: too small" in page
    assert "5.00x smaller" in page
    path = tmp_path / "conversion.json"
    path.write_text(REPORT.to_json(), encoding="utf-8")
    both = results_page([path, result_file()])
    assert "Conversion of tiny &lt;net&gt;" in both
    assert "All results" in both


def test_bad_files(tmp_path, result_file, capsys):
    bad = tmp_path / "bad.json"
    for text, words in (
        ("{", "can be read"),
        ("[]", "expected an object"),
        ('{"format": 2, "results": []}', "format is 2"),
        ('{"format": 1, "results": [{}]}', "result 0 has no model"),
        ('{"layers": [1]}', "no conversion report"),
        ('{"format": 1, "results": []}', "no results"),
    ):
        bad.write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=words):
            results_page([bad])
    with pytest.raises(DataError, match="can be read"):
        results_page([tmp_path / "absent.json"])
    for key, value in (("samples_ms", []), ("summary_ms", {}), ("sizes", {"file": "x"})):
        result_file([{**one("q", 1.0, 1), key: value}], "bad.json")
        with pytest.raises(DataError, match="result 0"):
            results_page([bad])
    output = tmp_path / "report.html"
    arguments = ["report", str(result_file()), "-o", str(output)]
    assert main(arguments) == 0
    assert output.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert main(arguments) == 2
    assert "exists already" in capsys.readouterr().err
    assert main([*arguments, "-f", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"output": str(output)}


@pytest.fixture
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no chromium and chromedriver here (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield found
    found.quit()


# Selenium leaves its connection to the driver to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_browser_sorts_switches_and_complains_of_nothing(browser, result_file, tmp_path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    path = Path(tmp_path, "report.html")
    path.write_text(results_page([result_file()]), encoding="utf-8")
    browser.get(path.as_uri())
    table = next(
        t
        for t in browser.find_elements(By.TAG_NAME, "table")
        if t.find_element(By.TAG_NAME, "caption").text.startswith("Time of every layer")
    )

    def order() -> list[str]:
        return [row.text for row in table.find_elements(By.CSS_SELECTOR, "tbody th")]

    def heads() -> list[str | None]:
        return [
            h.get_attribute("aria-sort") for h in table.find_elements(By.CSS_SELECTOR, "thead th")
        ]

    buttons = table.find_elements(By.CSS_SELECTOR, "thead button")
    assert order() == ["conv1", "fc6", "fc10"]
    assert heads() == [None] * 5
    # By keyboard: buttons can be reached and pressed. Numbers sort as numbers: 0.1, 1, 3.
    browser.execute_script("arguments[0].scrollIntoView(); arguments[0].focus()", buttons[2])
    buttons[2].send_keys(Keys.ENTER)
    assert order() == ["fc10", "conv1", "fc6"]
    assert heads() == [None, None, "ascending", None, None]
    said = browser.find_element(By.CSS_SELECTOR, "[role=status]")
    assert said.text == "sorted by float ms, ascending"
    buttons[2].send_keys(Keys.SPACE)
    assert order() == ["fc6", "conv1", "fc10"]
    assert heads() == [None, None, "descending", None, None]
    # Names with numbers in them: fc6 before fc10.
    buttons[0].send_keys(Keys.ENTER)
    assert order() == ["conv1", "fc6", "fc10"]

    def background() -> str:
        return browser.execute_script("return getComputedStyle(document.body).backgroundColor")

    schemes = {
        radio.get_attribute("value"): radio
        for radio in browser.find_elements(By.CSS_SELECTOR, "input[name=scheme]")
    }
    for scheme, expected in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(18, 23, 28)")):
        browser.execute_script("arguments[0].click()", schemes[scheme])
        assert background() == expected
    for preferred, expected in (("dark", "rgb(18, 23, 28)"), ("light", "rgb(255, 255, 255)")):
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": preferred}]},
        )
        browser.execute_script("arguments[0].click()", schemes[""])
        assert background() == expected

    chart = browser.find_element(By.TAG_NAME, "figure")
    for width, shown in ((1200, "wide"), (380, "narrow")):
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
        )
        for name in ("wide", "narrow"):
            assert chart.find_element(By.CLASS_NAME, name).is_displayed() == (name == shown)
        # Nothing is wider than the screen; tables scroll by themselves.
        sizes = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        assert sizes[0] <= sizes[1]
    assert browser.get_log("browser") == []


def test_speed_of_several_runs_side_by_side(result_file, tmp_path):
    results = [
        one("float", 4.0, 1000, lrn="stock"),
        one("float", 3.0, 1000, lrn="ours"),
        one("int8", 2.0, 300, lrn="stock"),
        one("q", 0.5, 100, lrn="ours"),
        one("float", 2.0, 1000, threads=2),
        one("q", 4.0, 100, threads=2),
    ]
    found = {(s.run, s.variant, s.ours): s.ratio for s in pictures.speeds(results)}
    assert found == {
        ("net, 1 thread", "int8", False): 2.0,
        ("net, 1 thread", "q", False): 8.0,
        ("net, 1 thread", "q", True): 6.0,
        ("net, 2 threads", "q", False): 0.5,
    }
    assert "Speed against TensorFlow Lite" in results_page([result_file(results)])
    assert tmp_path / "speed.svg" in pictures.write_pictures(
        pictures.overview_charts(results), tmp_path
    )
    # One run has its own charts, and needs no overview.
    assert not any(chart.name == "speed" for chart in pictures.charts(results[:4]))
