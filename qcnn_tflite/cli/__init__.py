"""The command ``qcnn-tflite``: one module a command, on top of the package's public names."""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from ..errors import QcnnError
from . import (
    benchmark,
    classify,
    compare,
    convert,
    demo_assets,
    doctor,
    evaluate,
    export,
    import_,
    inspect,
    models,
    quickstart,
    report,
)

_COMMANDS = (
    convert,
    classify,
    evaluate,
    compare,
    benchmark,
    report,
    inspect,
    models,
    import_,
    export,
    doctor,
    quickstart,
    demo_assets,
)

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

_EXAMPLES = """\
  qcnn-tflite quickstart                                 see it work, offline, in minutes
  qcnn-tflite convert net.tflite --calibration photos/   your network, with error correction
  qcnn-tflite convert alexnet --weights random           a named network
  qcnn-tflite evaluate net-q.tflite val/ --reference net.tflite
  qcnn-tflite benchmark net-q.tflite --reference net.tflite
  qcnn-tflite report results.json -o report.html         charts and tables of a benchmark
  qcnn-tflite classify net-q.tflite cat.jpg
"""
_EXIT_CODES = """\
qcnn-tflite COMMAND --help tells more about each.

Exit codes: 0 done, 1 a check or comparison failed, 2 bad input or environment, 130 interrupted.
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = _Parser(
        prog="qcnn-tflite",
        usage="qcnn-tflite COMMAND ...",
        description="Product-quantized convolutional networks for TensorFlow Lite.",
        epilog=_EXIT_CODES,
        formatter_class=_HelpFormatter,
    )
    parser.examples = _EXAMPLES
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(
        title="commands",
        prog="qcnn-tflite",
        parser_class=_Parser,
        dest="command",
        metavar="",
        required=True,
    )
    for module in _COMMANDS:
        name = module.__name__.rpartition(".")[2].rstrip("_").replace("_", "-")
        command = commands.add_parser(
            name,
            help=module.HELP,
            description=module.HELP[0].upper() + module.HELP[1:] + ".",
        )
        command.examples = module.EXAMPLES
        module.add_arguments(command)
        command.add_argument("--json", action="store_true", help="print the result as JSON")
        command.set_defaults(run=module.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns
    -------
    int
        The exit code.
    """
    args = build_parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _terminate)
    # TensorFlow greets on stderr unless told not to; 2.21 does some of it all the same.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        return int(args.run(args))
    except KeyboardInterrupt:
        _stop_workers()
        _complain("interrupted; no unfinished file was left behind")
        return EXIT_INTERRUPTED
    except SystemExit:  # by _terminate
        _stop_workers()
        raise
    except BrokenPipeError:
        # Whoever read our output (head, say) has seen enough. Closing stderr keeps Python from
        # complaining about the flush of stdout at exit.
        sys.stderr.close()
        return EXIT_BAD_INPUT
    except (QcnnError, OSError) as error:
        _complain(str(error))
        return EXIT_BAD_INPUT
    except MemoryError:
        _complain("out of memory; close other programs, or use a machine with more")
        return EXIT_BAD_INPUT


def _complain(sentence: str) -> None:
    print(f"qcnn-tflite: {sentence}", file=sys.stderr)


def _stop_workers() -> None:
    # Processes of joblib that are just starting would print tracebacks about a parent that is gone. The
    # executor that they belong to must not be used again by whoever called `main`.
    loky = sys.modules.get("joblib.externals.loky.reusable_executor")
    executor = getattr(loky, "_executor", None)
    if executor is not None:
        executor.shutdown(wait=False, kill_workers=True)
    for process in multiprocessing.active_children():
        if process.pid is not None:
            with contextlib.suppress(OSError):  # it has just ended
                os.kill(process.pid, signal.SIGTERM)


def _terminate(number: int, frame: FrameType | None) -> None:
    # An exception, so that temporary files are removed on the way out.
    raise SystemExit(EXIT_TERMINATED)


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """A line for each command."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=24, width=88)
        # Left to itself it measures options only, and breaks the line after a longer command.
        self._action_max_length = 14


class _Parser(argparse.ArgumentParser):
    """Begins its help with examples: that is what people look for."""

    examples = ""

    def format_help(self) -> str:
        return f"examples:\n{self.examples}\n{super().format_help()}"


class _Version(argparse.Action):
    """Prints versions; looks them up only when asked."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the versions and exit")

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        from ..machine import versions

        for name, version in versions().items():
            print(f"{name} {version}")
        parser.exit()
