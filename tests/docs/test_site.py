"""What the site is made of: the reference names everything, generated parts and figures are there."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from blocks import ROOT

import qcnn_tflite
from qcnn_tflite import config, models

pytestmark = pytest.mark.skipif(
    not (ROOT / "mkdocs.yml").is_file(), reason="the documentation is not beside the tests"
)

DOCS = ROOT / "docs"


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch) -> object:
    """tools/site/reference.py, which makes parts of pages."""
    monkeypatch.syspath_prepend(str(ROOT / "tools" / "site"))
    import reference

    yield reference
    sys.modules.pop("reference")


def test_every_public_name_is_in_the_reference() -> None:
    pages = (DOCS / "reference" / "python.md").read_text("utf-8")
    pages += (DOCS / "reference" / "settings.md").read_text("utf-8")
    described = set(re.findall(r"^::: qcnn_tflite\.(\w+)$", pages, re.MULTILINE))
    assert set(qcnn_tflite.__all__) - described == set()
    listed = re.search(r"::: qcnn_tflite\.models\n.*?members: \[(.*?)\]", pages, re.DOTALL)
    assert set(models.__all__) - {"DEFAULT"} <= set(listed[1].split(", "))


def test_command_line_page_has_every_command_and_option(reference: object) -> None:
    text = reference.command_line()
    for command in ("convert", "import", "demo-assets", "doctor"):
        assert f"\n## {command}\n" in text
    for option in ("--calibration IMAGES", "-f, --force", "--crops {1,10}", "--device WHERE"):
        assert f"`{option}`" in text
    assert "%(" not in text


def test_result_page_has_fields_of_every_depth(reference: object) -> None:
    text = reference.result_schema()
    for field in ("samples_ms", "summary_ms.median", "layers[].float_ms", "left_out[].reason"):
        assert f"`{field}`\n:   " in text


def test_every_decision_is_listed(reference: object) -> None:
    listed = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", reference.decisions())
    assert listed == sorted(p.name for p in (DOCS / "adr").glob("0*.md"))


def test_table_of_presets() -> None:
    """README's table says what config.py does."""
    text = (ROOT / "README.md").read_text("utf-8")
    rows = {
        row[0].strip("`"): row[1:]
        for row in re.findall(
            r"^\| (`\w+`) \| (.+?) \| (.+?) \| (.+?) \| (.+?) \| (float\d+) \|$", text, re.MULTILINE
        )
    }
    assert set(rows) == set(config.PRESETS)
    for name, preset in config.PRESETS.items():
        layers = (preset.conv, preset.conv1x1, preset.fc, preset.last_fc)
        for cell, layer in zip(rows[name], layers, strict=False):
            if layer.quantize:
                assert cell.startswith(f"d={layer.d} K={layer.K}"), (name, cell)
                assert ("one shared" in cell) == (layer.codebooks == "shared"), (name, cell)
                assert ("scale per output" in cell) == layer.output_scale, (name, cell)
                assert rows[name][4] == layer.codebook_dtype
            else:
                assert cell == "float"


def test_figures_are_whole_and_follow_light_and_dark() -> None:
    named = set()
    for page in DOCS.rglob("*.md"):
        for alt, path in re.findall(r"!\[([^\]]*)\]\((figures/[^)]+)\)", page.read_text("utf-8")):
            assert len(alt) > 40, f"{page}: {path} needs words for those who do not see it"
            named.add((page.parent / path).resolve())
    assert named == set((DOCS / "explanation" / "figures").glob("*.svg"))
    style = (DOCS / "assets" / "site.css").read_text("utf-8")
    for figure in named:
        text = figure.read_text("utf-8")
        assert ElementTree.fromstring(text).tag.endswith("svg")
        for role in set(re.findall(r"var\(--figure-(\w+),", text)):
            assert style.count(f"--figure-{role}: #") == 2, (
                f"{role} needs a light and a dark colour"
            )
        drawn = re.sub(r"var\([^)]*\)|<style>.*?</style>", "", text)
        assert not re.search(r"(?:fill|stroke): #(?!f{6})", drawn), f"{figure}: a colour of no role"
        # Ids shared with another figure of the page would mix them up.
        assert not re.search(r' id="(?:figure|axes|patch|text)_', text)


def test_a_figure_is_drawn_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools" / "site"))
    import figures

    figures.draw(tmp_path, ["lookup-tables"])
    drawn = ElementTree.parse(tmp_path / "lookup-tables.svg").getroot()
    kept = ElementTree.parse(DOCS / "explanation" / "figures" / "lookup-tables.svg").getroot()

    def count(root: ElementTree.Element) -> int:
        return len(list(root.iter()))

    assert count(drawn) == pytest.approx(count(kept), rel=0.2)
