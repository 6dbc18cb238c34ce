"""Ends convert, download and benchmark by SIGKILL at random moments, and looks at what is left.

    python tests/faults/kill.py --kills 200

The commands run in forks of a process that has imported everything: kills meet the work, not the imports.
After every kill the output is absent or whole (byte for byte what an undisturbed run writes), no process
stays behind, and the same command succeeds the next time, leaving nothing but its output: no temporary
file and no folder. The last line is one of JSON, for docs/reliability.md; the exit code is 1 when
something was wrong.
"""

from __future__ import annotations

import argparse
import atexit
import hashlib
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import small_network

import qcnn_tflite.api
import qcnn_tflite.measurement.session  # noqa: F401
from qcnn_tflite.cli import main as program
from qcnn_tflite.graph import read_model
from qcnn_tflite.models.download import fetch
from qcnn_tflite.models.sources import Source

CONFIG = json.dumps(
    {
        "layers": {"*": {"d": 4, "K": 8}},
        "learning": {
            "conv_damping": [0.1],
            "fc_damping": [1.0],
            "conv_scale": [0.5],
            "fc_scale": [1.0],
            "sweeps": 1,
        },
    }
)
CONTENT = np.random.default_rng(0).integers(0, 256, 3_000_000, np.uint8).tobytes()
_CHUNK = 30_000
# What a process of an ended parent may take to notice.
_PATIENCE = 20.0


class Handler(BaseHTTPRequestHandler):
    """The one file, slowly, from where it is asked."""

    pause = 0.005

    def do_GET(self) -> None:
        text = self.headers.get("Range", "bytes=0-")
        start = int(text.removeprefix("bytes=").rstrip("-"))
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        try:
            for at in range(start, len(CONTENT), _CHUNK):
                self.wfile.write(CONTENT[at : at + _CHUNK])
                time.sleep(self.pause)
        except OSError:  # the other side was killed
            pass

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def server() -> Iterator[str]:
    """The address of a server on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


class Work:
    """A command, the folder it works in, and what its output must be.

    Parameters
    ----------
    name : str
    folder : Path
        Of its own: output, cache, temporary files.
    command : callable
        Returns the exit code.
    output : str
        Relative to `folder`.
    whole : callable
        Whether the content of the output is that of an undisturbed run.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        command: Callable[[], int],
        output: str,
        whole: Callable[[bytes], bool],
    ) -> None:
        self.name, self.folder, self.command, self.whole = name, folder, command, whole
        self.output = folder / output
        for part in ("out", "cache", "tmp"):
            (folder / part).mkdir(parents=True)
        self.problems: list[str] = []
        self.kills = self.ended_before = self.absent = self.found_whole = 0

    def start(self) -> int:
        """The command in a process of its own, which leads a session; returns its number."""
        number = os.fork()
        if number:
            return number
        code = 99
        try:
            os.setsid()
            os.chdir(self.folder)
            os.environ["TMPDIR"] = os.environ["JOBLIB_TEMP_FOLDER"] = str(self.folder / "tmp")
            tempfile.tempdir = None
            os.environ["QCNN_TFLITE_CACHE"] = str(self.folder / "cache")
            nothing = os.open(os.devnull, os.O_RDWR)
            log = os.open(self.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for stream, target in ((0, nothing), (1, nothing), (2, log)):
                os.dup2(target, stream)
            code = self.command()
            atexit._run_exitfuncs()
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(code)

    def wait(self, number: int, seconds: float) -> int | None:
        """The exit code, or None if it goes on for longer."""
        end = time.monotonic() + seconds
        while True:
            found, status = os.waitpid(number, os.WNOHANG)
            if found:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > end:
                return None
            time.sleep(0.002)

    def run(self, when: str = "undisturbed") -> float:
        """To the end; returns the seconds that it took."""
        start = time.monotonic()
        number = self.start()
        code = self.wait(number, 600)
        if code is None:
            os.kill(number, signal.SIGKILL)
            os.waitpid(number, 0)
            self.problems.append(f"{when}: hangs")
        elif code:
            log = (self.folder / "log").read_text()
            self.problems.append(f"{when}: exit code {code}: {log[-2000:]}")
        elif not self.output.is_file() or not self.whole(self.output.read_bytes()):
            self.problems.append(f"{when}: the output is not what it should be")
        return time.monotonic() - start

    def from_nothing(self) -> float:
        """As `run`, with nothing in the cache."""
        self.clear()
        return self.run()

    def kill(self, after: float) -> None:
        """Start, kill after so many seconds, look, run again, look."""
        self.clear()
        number = self.start()
        when = f"killed after {after:.2f} s"
        if self.wait(number, after) is None:
            os.kill(number, signal.SIGKILL)
            os.waitpid(number, 0)
            self.kills += 1
        else:
            self.ended_before += 1
        for left, words in self.processes(number).items():
            self.problems.append(f"{when}: still running: {words}")
            os.kill(left, signal.SIGKILL)
        if self.output.exists():
            self.found_whole += 1
            if not self.whole(self.output.read_bytes()):
                self.problems.append(f"{when}: half an output")
        else:
            self.absent += 1
        self.check_cache(when)
        # A temporary file is left alone while it is young. Make it old, so that the next run may know.
        for path in self.leftovers():
            os.utime(path, (time.time() - 120,) * 2)
        self.run(f"{when}, next run")
        self.check_cache(f"{when}, next run")
        if self.leftovers():
            self.problems.append(f"{when}: left behind: {[str(p) for p in self.leftovers()]}")

    def processes(self, session: int) -> dict[int, str]:
        """Processes of the session that do not end by themselves; its leader is gone."""
        end = time.monotonic() + _PATIENCE
        while True:
            found: dict[int, str] = {}
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    stat = (folder / "stat").read_text().rpartition(")")[2].split()
                    if int(stat[3]) == session and stat[0] != "Z":
                        words = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                        found[int(folder.name)] = words.decode()[:200]
                except (OSError, IndexError):
                    continue
            if not found or time.monotonic() > end:
                return found
            time.sleep(0.05)

    def check_cache(self, when: str) -> None:
        for path in (self.folder / "cache").rglob("*.tflite"):
            try:
                read_model(path)
            except ValueError as error:
                self.problems.append(f"{when}: {path.name} in the cache: {error}")

    def leftovers(self) -> list[Path]:
        """Whatever is neither the output nor a finished file of the cache."""
        known = (self.output, self.folder / "log")
        found = [p for p in self.folder.rglob("*") if p.is_file() and p not in known]
        kept = (".tflite", ".npy", ".bin")
        temporary = self.folder / "tmp"
        return [
            p
            for p in found
            if p.suffix not in kept or p.name.startswith(".") or p.is_relative_to(temporary)
            if not _is_probe(p)
        ]

    def clear(self) -> None:
        """Forget everything but the inputs."""
        for part in ("out", "cache"):
            shutil.rmtree(self.folder / part)
            (self.folder / part).mkdir()

    def summary(self) -> dict[str, Any]:
        return {
            "work": self.name,
            "kills": self.kills,
            "ended_before": self.ended_before,
            "output_absent": self.absent,
            "output_whole": self.found_whole,
            "problems": self.problems,
        }


def works(folder: Path, address: str) -> list[Work]:
    """The three commands, each ready to run."""
    inputs = folder / "inputs"
    inputs.mkdir()
    (inputs / "float.tflite").write_bytes(small_network.float_model())
    np.save(inputs / "images.npy", small_network.images(16))
    source = [str(inputs / "float.tflite"), "--calibration", str(inputs / "images.npy")]
    source += ["--config", CONFIG, "-f"]
    reference: list[bytes] = []

    def same(data: bytes) -> bool:
        reference.append(data)
        return data == reference[0]

    def measured(data: bytes) -> bool:
        results = json.loads(data)["results"]
        return {r["variant"] for r in results} == {"float", "q"} and not any(
            "partial" in r for r in results
        )

    def download() -> int:
        digest = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
        fetch(Source("weights.bin", digest, "free", url=f"{address}/weights.bin"), model="net")
        return 0

    def convert() -> int:
        return program(["convert", *source, "-o", "out/net-q.tflite", "--jobs", "1"])

    def benchmark() -> int:
        return program(
            ["benchmark", *source, "--variants", "float,q", "--runs", "100", "-o", "out/r.json"]
        )

    return [
        Work("convert", folder / "convert", convert, "out/net-q.tflite", same),
        Work("download", folder / "download", download, "cache/weights.bin", CONTENT.__eq__),
        Work("benchmark", folder / "benchmark", benchmark, "out/r.json", measured),
    ]


def _is_probe(path: Path) -> bool:
    """Whether Python's tempfile wrote it, to see whether it may."""
    return re.fullmatch(r"[a-z0-9_]{8}", path.name) is not None and path.stat().st_size <= 4


def kill_all(folder: Path, kills: dict[str, int], seed: int) -> list[Work]:
    """Kill each work so many times at random moments of its run."""
    generator = random.Random(seed)
    done = []
    with server() as address:
        for work in works(folder, address):
            if not kills.get(work.name):
                continue
            seconds = min(work.from_nothing() for _ in range(2))
            while work.kills < kills[work.name] and len(work.problems) < 20:
                work.kill(generator.uniform(0, seconds))
                print(
                    f"{work.name}: {work.kills} kills, problems: {work.problems}", file=sys.stderr
                )
            done.append(work)
    return done


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("convert", "download", "benchmark"))
    args = parser.parse_args()
    share = {"convert": 5, "download": 4, "benchmark": 1}
    if args.only:
        share = {args.only: 1}
    kills = {name: args.kills * part // sum(share.values()) for name, part in share.items()}
    # No TemporaryDirectory: a fork that ends would remove it.
    folder = Path(tempfile.mkdtemp(prefix="qcnn-faults-"))
    try:
        done = kill_all(folder, kills, args.seed)
    finally:
        shutil.rmtree(folder)
    print(json.dumps([work.summary() for work in done], indent=1))
    return int(any(work.problems for work in done))


if __name__ == "__main__":
    sys.exit(main())
