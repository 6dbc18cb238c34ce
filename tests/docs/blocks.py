"""Shell and Python blocks of documentation pages: found by Sybil, run, or (where a page says why not) checked.

A block is run in the folder that the page's blocks before it left; the first finds `workspace`'s files. Comments on
the line before a block:

``<!-- not run: REASON -->``
    Its syntax and the options of our commands are checked instead.
``<!-- new folder -->``
    It starts again from the first files.
``<!-- output -->``
    Before a ``text`` block: what the block before printed, see `same_output`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sybil import Document
from sybil.parsers.markdown.lexers import FencedCodeBlockLexer

from qcnn_tflite.cli import build_parser

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = ("sh", "python", "text")
_COMMENT = re.compile(r"<!-- ([a-z ]+?)(?:: ([^>]+?))? -->\s*\Z")
_SEPARATORS = {"&&", "||", "|", ";", "&"}


@dataclass
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    source: str
    remark: str | None  # "not run", "new folder", "output"
    reason: str | None

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """The shell, Python and text blocks of a page, in order."""
    text = page.read_text("utf-8")
    document = Document(text, str(page))
    found = []
    for language in LANGUAGES:
        for region in FencedCodeBlockLexer(language)(document):
            comment = _COMMENT.search(text[: region.start].rstrip("\n") + "\n")
            found.append(
                Block(
                    page,
                    text.count("\n", 0, region.start) + 1,
                    language,
                    str(region.lexemes["source"]),
                    comment[1] if comment else None,
                    comment[2] if comment else None,
                )
            )
    return sorted(found, key=lambda block: block.line)


def indented_blocks(page: Path) -> list[int]:
    """Lines at which code is indented rather than fenced: no test would see it."""
    fenced, listed, last, lines = False, False, "", []
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        if line.strip() and not line.startswith(" "):
            listed = re.match(r"([-*]|\d+\.) ", line) is not None
        if line.startswith("    ") and not (fenced or listed or last):
            lines.append(number)
        last = line.strip()
    return lines


def commands_in(source: str) -> Iterator[list[str]]:
    """The words of each simple command of a shell block."""
    for line in source.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
        lexer.whitespace_split = True
        words: list[str] = []
        for token in [*lexer, ";"]:
            if token in _SEPARATORS:
                if words:
                    yield words
                words = []
            else:
                words.append(token)


def check(block: Block) -> None:
    """What can be known of a block without running it.

    Raises
    ------
    AssertionError
        For bad syntax, options that a command does not have, and files and extras that there are not.
    """
    if block.language == "python":
        compile(block.source, str(block), "exec")
        return
    done = subprocess.run(["bash", "-n"], input=block.source, text=True, capture_output=True)
    assert done.returncode == 0, f"{block}: {done.stderr}"
    # A quoted argument may go over several lines.
    joined = re.sub(r"'[^']*'", lambda quoted: quoted[0].replace("\n", " "), block.source)
    for words in commands_in(joined):
        _check_command(words, block)


def _check_command(words: list[str], block: Block) -> None:
    program, *arguments = words
    if program == "qcnn-tflite":
        problem = io.StringIO()
        code: object = 0
        try:
            with contextlib.redirect_stderr(problem), contextlib.redirect_stdout(io.StringIO()):
                build_parser().parse_args(arguments)
        except SystemExit as stop:
            code = stop.code
        assert not code, f"{block}: {shlex.join(words)}: {problem.getvalue()}"
    elif program == "python" and arguments[:1] and arguments[0].endswith(".py"):
        if (ROOT / arguments[0]).parent.is_dir() and "/" in arguments[0]:
            _check_script(ROOT / arguments[0], arguments[1:], block)
    elif program == "python" and arguments[:2] and arguments[0] == "-m":
        module = ROOT / arguments[1].replace(".", "/")
        if arguments[1].split(".")[0] == "benchmarks":
            script = module / "__main__.py" if module.is_dir() else module.with_suffix(".py")
            _check_script(script, arguments[2:], block)
    elif program == "pip":
        pyproject = (ROOT / "pyproject.toml").read_text("utf-8")
        for extra in re.findall(r"(?:\.|qcnn-tflite)\[([\w,]+)\]", " ".join(arguments)):
            for name in extra.split(","):
                assert f"\n{name} = [" in pyproject, f"{block}: there is no extra {name!r}"
    elif program == "cmake":
        lists = "".join(
            p.read_text("utf-8")
            for p in [
                *ROOT.glob("custom_ops/**/CMakeLists.txt"),
                *ROOT.glob("*/runner/CMakeLists.txt"),
            ]
        )
        for name in re.findall(r"-D(QCNN_\w+|TFLITE_\w+)", " ".join(arguments)):
            assert name in lists, f"{block}: CMake knows no {name}"
    elif program.startswith(("tools/", "ios-demo/", "android-demo/", "benchmarks/")):
        assert (ROOT / program).is_file(), f"{block}: there is no {program}"


def _check_script(script: Path, arguments: list[str], block: Block) -> None:
    assert script.is_file(), f"{block}: there is no {script.relative_to(ROOT)}"
    source = script.read_text("utf-8")
    for option in arguments:
        if option.startswith("--"):
            name = option.partition("=")[0]
            assert f'"{name}"' in source or _cli_has(name), f"{block}: {script.name} has no {name}"


def _cli_has(option: str) -> bool:
    """Whether ``qcnn-tflite benchmark``, whose arguments ``python -m benchmarks`` takes, has an option."""
    commands = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return option in commands.choices["benchmark"]._option_string_actions


def run_shell(block: Block, folder: Path) -> str:
    """Run a shell block in a folder, as a reader would; what it printed on stdout."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "QCNN_TFLITE_CACHE": str(folder / ".cache"),
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.source],
        cwd=folder,
        env=environment,
        text=True,
        capture_output=True,
        timeout=1200,
    )
    assert done.returncode == 0, f"{block}: exit code {done.returncode}\n{done.stderr[-4000:]}"
    return done.stdout


def run_python(block: Block, folder: Path, namespace: dict[str, object]) -> str:
    """Run a Python block in this process; what it printed on stdout."""
    printed = io.StringIO()
    # Blank lines in front, so that a traceback names the page's line.
    code = compile("\n" * block.line + block.source, str(block.page), "exec")
    before = Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            # Those of Keras and the like are not the page's.
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", module="__main__|qcnn_tflite")
            exec(code, namespace)
    finally:
        os.chdir(before)
    return printed.getvalue()


_NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")


def same_output(shown: str, printed: str) -> str | None:
    """What is wrong with the output on a page, or None.

    Words have to be equal, line by line; a line ``...`` stands for any lines. Percentages may differ by 3 points, sizes
    (kB, MB, x smaller) by 3 %, other numbers (times, errors) by anything. What the processor decides, and which of the
    candidates a layer chose (in brackets), is not compared, nor are widths of columns.
    """
    pattern = [_plain(line) for line in shown.splitlines() if line.strip()]
    got = [(line, _plain(line)) for line in printed.splitlines() if line.strip()]
    raw = [line for line in shown.splitlines() if line.strip()]
    at, anything = 0, False
    for line, words in zip(raw, pattern, strict=True):
        if line.strip() == "...":
            anything = True
            continue
        while anything and at < len(got) and got[at][1] != words:
            at += 1
        anything = False
        if at == len(got) or got[at][1] != words:
            return f"shown: {line!r}\nprinted: {got[at][0] if at < len(got) else 'nothing more'!r}"
        for problem in _distances(line, got[at][0]):
            return problem
        at += 1
    return None if anything or at == len(got) else f"printed, not shown: {got[at][0]!r}"


def _plain(line: str) -> str:
    line = re.sub(r"\([^()]*\)", "()", line)
    line = re.sub(r"kernel \w+", "kernel", line)
    if re.search(r"threads?, batch", line):
        return "the machine"
    line = _NUMBER.sub("#", line)
    line = re.sub(r"\b[kM]?B\b", "bytes", line)
    return " ".join(
        re.sub(r"-{2,}", "-", line).replace("faster", "fast").replace("slower", "fast").split()
    )


def _distances(shown: str, printed: str) -> Iterator[str]:
    def numbers(line: str, pattern: str) -> list[float]:
        return [float(n.replace(",", "")) for n in re.findall(pattern, line)]

    for a, b in zip(*(numbers(s, r"([\d.]+) ?%") for s in (shown, printed)), strict=False):
        if abs(a - b) > 3:
            yield f"shown: {shown!r}\nprinted: {printed!r}: more than 3 points apart"
    sizes = r"([\d.]+)(?: [kM]B|x smaller)"
    for a, b in zip(*(numbers(s, sizes) for s in (shown, printed)), strict=False):
        if abs(a - b) > 0.03 * a:
            yield f"shown: {shown!r}\nprinted: {printed!r}: more than 3 % apart"
