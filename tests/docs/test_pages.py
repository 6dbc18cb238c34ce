"""Every shell and Python block of the documentation is run, or says why it is not and is checked."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from blocks import (
    ROOT,
    Block,
    blocks_of,
    check,
    indented_blocks,
    run_python,
    run_shell,
    same_output,
)

pytestmark = pytest.mark.skipif(
    not (ROOT / "mkdocs.yml").is_file(), reason="the documentation is not beside the tests"
)

OUTSIDE = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
PAGES = [
    *(ROOT / name for name in OUTSIDE),
    ROOT / "custom_ops" / "README.md",
    ROOT / "android-demo" / "README.md",
    ROOT / "ios-demo" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
# A page that begins with this takes minutes.
SLOW = "<!-- slow"
WITH_BLOCKS = [page for page in PAGES if page.is_file() and blocks_of(page)]


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _parameters() -> list[object]:
    return [
        pytest.param(
            page,
            id=_name(page),
            marks=[pytest.mark.slow] if page.read_text("utf-8").startswith(SLOW) else [],
        )
        for page in WITH_BLOCKS
    ]


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=_name)
def test_commands_and_options_exist(page: Path) -> None:
    for block in blocks_of(page):
        if block.language != "text":
            check(block)


@pytest.mark.parametrize("page", [p for p in PAGES if p.is_file()], ids=_name)
def test_code_is_fenced(page: Path) -> None:
    assert indented_blocks(page) == []


@pytest.mark.parametrize("page", [p for p in PAGES if p.is_file()], ids=_name)
def test_links_lead_to_files(page: Path) -> None:
    """In the repository, as the site's build checks it for the site."""
    links = re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    missing = [link for link in links if ":" not in link and not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", _parameters())
def test_blocks_run(
    page: Path, new_folder: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Starting workers takes longer than these networks.
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    folder = None
    namespace: dict[str, object] = {"__name__": "__main__"}
    printed = ""
    for block in blocks_of(page):
        if block.remark == "not run":
            assert block.reason, f"{block} does not say why it is not run"
        elif block.language == "text":
            if block.remark == "output":
                assert (problem := same_output(block.source, printed)) is None, (
                    f"{block}: {problem}"
                )
        else:
            if folder is None or block.remark == "new folder":
                folder = new_folder()
            printed = _run(block, folder, namespace)


def _run(block: Block, folder: Path, namespace: dict[str, object]) -> str:
    if block.language == "sh":
        return run_shell(block, folder)
    return run_python(block, folder, namespace)
