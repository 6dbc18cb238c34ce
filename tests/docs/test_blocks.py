"""The harness of the pages' blocks sees what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from blocks import Block, blocks_of, check, indented_blocks, same_output

SHOWN = """
4 of 5 layers quantized, 300 calibration images, 12.0 s
file: 1.29 MB -> 99.90 kB, 12.89x smaller
top-1 94.47%, kernel avx512_vnni (cost model of AMD EPYC)
"""


def _block(language: str, source: str) -> Block:
    return Block(Path("page.md"), 1, language, source, None, None)


def test_times_processors_and_small_differences_pass() -> None:
    printed = SHOWN.replace("12.0 s", "9 s").replace("avx512_vnni", "neon").replace("AMD", "A")
    printed = printed.replace("94.47", "95.10").replace("99.90", "100.20")
    assert same_output(SHOWN, printed) is None


@pytest.mark.parametrize(
    ("word", "instead"),
    [("94.47", "90.1"), ("12.89x", "11.0x"), ("99.90 kB", "140 kB"), ("smaller", "larger")],
)
def test_other_words_and_figures_do_not(word: str, instead: str) -> None:
    assert same_output(SHOWN, SHOWN.replace(word, instead)) is not None


def test_lines_that_are_missing_or_too_many() -> None:
    lines = SHOWN.strip().splitlines()
    assert same_output(SHOWN, "\n".join(lines[:2])) is not None
    assert same_output("\n".join(lines[:2]), SHOWN) is not None
    assert same_output(f"{lines[0]}\n...\n{lines[2]}", SHOWN) is None
    assert same_output(f"{lines[0]}\n...", SHOWN) is None


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("sh", "qcnn-tflite convert net.tflite net-q.tflite"),
        ("sh", "qcnn-tflite convert net.tflite --calibrate photos/"),
        ("sh", "cd x && qcnn-tflite nothing"),
        ("sh", "qcnn-tflite convert 'net.tflite"),
        ("sh", "python -m benchmarks.nothing"),
        ("sh", "python benchmarks/kernels.py --nothing"),
        ("sh", "pip install '.[nothing]'"),
        ("sh", "cmake -S custom_ops -B build -DQCNN_NOTHING=ON"),
        ("sh", "tools/nothing"),
    ],
)
def test_what_does_not_exist_is_found(language: str, source: str) -> None:
    with pytest.raises((AssertionError, ValueError)):
        check(_block(language, source))


def test_python_that_is_none_is_found() -> None:
    with pytest.raises(SyntaxError):
        check(_block("python", "import = 1"))


def test_remarks_and_indented_code_are_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A\n\n<!-- not run: no telephone -->\n```sh\ntrue\n```\n\n"
        "- item\n\n    more of it\n\n```python\nx = 1\n```\n\ntext\n\n    pip install .\n"
    )
    shell, python = blocks_of(page)
    assert (shell.remark, shell.reason, shell.source) == ("not run", "no telephone", "true\n")
    assert (python.language, python.remark) == ("python", None)
    assert indented_blocks(page) == [18]
