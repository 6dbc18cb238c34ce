"""Hooks of mkdocs.yml: parts of pages that are made from the code, and figures that follow light and dark.

A page asks for a part by a line ``<!-- generated: NAME -->``.
"""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import reference  # noqa: E402  (beside this file)

PARTS: dict[str, Callable[[], str]] = {
    "command line": reference.command_line,
    "decisions": reference.decisions,
    "result schema": reference.result_schema,
}
# Pages with nothing beside them in the navigation, whose tables and printed reports want the room.
ALONE = ("index.md", "tutorial.md")
_PART = re.compile(r"^<!-- generated: (.+) -->$", re.MULTILINE)
_FIGURE = re.compile(r'<img alt="([^"]*)" src="([^"]*figures/[^"]*\.svg)"[^>]*>')


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Put generated parts in their places; an unknown name ends the build."""
    if page.file.src_uri in ALONE:
        page.meta["hide"] = ["navigation"]
    return _PART.sub(lambda found: PARTS[found[1]](), markdown)


def on_page_content(content: str, page: Any, config: Any, files: Any) -> str:
    """Write figures into the page, so that its colours reach them; an ``<img>`` has its own."""
    folder = (Path(config.docs_dir) / page.file.src_uri).parent

    def inline(found: re.Match[str]) -> str:
        figure = folder / found[2]
        if not figure.is_file():
            return found[0]  # MkDocs warns
        text = figure.read_text("utf-8")
        # Its own rules would hold for the whole page.
        svg = re.sub(r"<style.*?</style>", "", text[text.index("<svg") :], flags=re.DOTALL)
        label = html.escape(html.unescape(found[1]), quote=True)
        return f'<span class="figure" role="img" aria-label="{label}">{svg}</span>'

    return _FIGURE.sub(inline, content)
