"""Parts of the reference that are made from the code: command line, result schema, list of decisions."""

from __future__ import annotations

import argparse
import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "benchmarks" / "schema" / "result-1.json"


def command_line() -> str:
    """Every command: what it does, examples, arguments. Markdown."""
    from qcnn_tflite.cli import build_parser

    parser = build_parser()
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    parts = ["```text\n" + textwrap.dedent(parser.examples).rstrip() + "\n```"]
    for name, command in commands.choices.items():
        examples = "\n".join(line.strip() for line in command.examples.strip().splitlines())
        parts += [f"## {name}", command.description, f"```text\n{examples}\n```"]
        parts += list(_arguments(command))
    return "\n\n".join(parts)


def _arguments(command: argparse.ArgumentParser) -> Iterator[str]:
    for group in command._action_groups:
        actions = [a for a in group._group_actions if not isinstance(a, argparse._HelpAction)]
        if not actions:
            continue
        if group.description or group.title not in ("positional arguments", "options"):
            yield f"**{group.title}** ({group.description})"
        for action in actions:
            yield f"`{_spelling(action)}`\n:   {_escape(_meaning(action))}"


def _spelling(action: argparse.Action) -> str:
    if not action.option_strings:
        name = str(action.metavar or action.dest)
        return f"[{name} ...]" if action.nargs == "*" else name
    spelling = ", ".join(action.option_strings)
    if action.nargs == 0:
        return spelling
    if action.choices is not None and action.metavar is None:
        return f"{spelling} {{{','.join(map(str, action.choices))}}}"
    return f"{spelling} {action.metavar or action.dest.upper()}"


def _meaning(action: argparse.Action) -> str:
    text = action.help or ""
    return text % {**vars(action), "prog": "qcnn-tflite"} if "%" in text else text


def _escape(text: str) -> str:
    # What looks like code, JSON above all, is; the rest must not turn into emphasis.
    text = re.sub(r"(\{.*\})", r"`\1`", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"([*_<>\[\]|])", r"\\\1", part)
        for part in re.split(r"(`[^`]*`)", text)
    )


def result_schema() -> str:
    """The fields of a result file, a list for each kind of object. Markdown."""
    schema = json.loads(SCHEMA.read_text("utf-8"))
    parts = ["## The file", schema["description"], *_fields(schema, "")]
    for name, definition in schema["$defs"].items():
        if definition.get("type") == "object":
            parts.append(f"## A {name}")
            if "description" in definition:
                parts.append(definition["description"])
            parts += _fields(definition, "")
    return "\n\n".join(parts)


def _fields(definition: dict[str, Any], prefix: str) -> Iterator[str]:
    required = definition.get("required", [])
    for name, value in definition.get("properties", {}).items():
        kind = _type(value) + ("" if name in required else ", optional")
        kind = kind[0].upper() + kind[1:]
        text = ". ".join(f.rstrip(".") for f in (kind, value.get("description", "")) if f)
        yield f"`{prefix}{name}`\n:   {text}."
        yield from _fields(value, f"{prefix}{name}.")
        if "items" in value:
            yield from _fields(value["items"], f"{prefix}{name}[].")


def _type(value: dict[str, Any]) -> str:
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    if "enum" in value:
        return " or ".join(f"`{json.dumps(v)}`" for v in value["enum"])
    if "anyOf" in value:
        return " or ".join(_type(v) for v in value["anyOf"])
    if "$ref" in value:
        kind = value["$ref"].rpartition("/")[2]
        return {
            "name": "text",
            "ms": "milliseconds",
            "count": "whole number from 1",
            "share": "share from 0 to 1",
            "interval": "two shares",
        }.get(kind, kind if kind == "bytes" else f"[{kind}](#a-{kind})")
    kind = value.get("type", "anything")
    if kind == "array":
        items = value["items"]
        if "$ref" in items:
            return f"list: {_type(items)}"
        return {"object": "list of objects"}.get(items.get("type"), "list")
    if isinstance(kind, list):
        return " or ".join(kind)
    return {"string": "text", "integer": "whole number"}.get(kind, kind)


def decisions() -> str:
    """The decisions, a line each. Markdown, for a page in the same folder."""
    pages = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    lines = []
    for page in pages:
        number, title = page.read_text("utf-8").splitlines()[0].removeprefix("# ").split(". ", 1)
        lines.append(f"{number}. [{title}]({page.name})")
    return "\n".join(lines)
