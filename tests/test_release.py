"""What a release must agree on: one version everywhere, actions pinned to commits."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = {
    "pyproject.toml": r'^version = "([^"]+)"',
    "qcnn_tflite/__init__.py": r'^__version__ = "([^"]+)"',
    "custom_ops/CMakeLists.txt": r"^project\(qcnn_ops VERSION (\S+)",
    "custom_ops/Package.swift": r'"QCNN_VERSION", to: "\\"([^\\]+)\\""',
    "CITATION.cff": r"^version: (\S+)",
}


@pytest.mark.parametrize("file", VERSIONS)
def test_one_version_everywhere(file: str) -> None:
    found = re.findall(VERSIONS[file], (ROOT / file).read_text("utf-8"), re.MULTILINE)
    assert found == [metadata.version("qcnn-tflite")]


def test_actions_are_pinned_to_commits() -> None:
    workflows = sorted((ROOT / ".github/workflows").glob("*.yml"))
    if not workflows:
        pytest.skip("a source archive has no workflows")
    used = [
        (workflow.name, line.strip())
        for workflow in workflows
        for line in workflow.read_text("utf-8").splitlines()
        if re.match(r"\s*-? ?uses:", line)
    ]
    assert used
    # The tag behind it is for people, and for tools that propose newer ones.
    loose = [
        use for use in used if not re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v[\d.]+$", use[1])
    ]
    assert loose == []
