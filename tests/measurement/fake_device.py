"""An Android device that is a folder: what `adb` reaches, by its own client or a stand-in of it.

Commands run in the shell of this machine, ``/data/local/tmp`` being the folder; what an x86-64 emulator of
Android 14 says of itself is told as it tells it.
"""

from __future__ import annotations

import os
import socketserver
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

SERIAL = "emulator-5554"
HOME = "/data/local/tmp"
CPUINFO = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model name\t: Android virtual processor
flags\t\t: fpu sse4_2 avx2 fma hypervisor
"""
ANSWERS = {
    "cat /proc/cpuinfo": CPUINFO,
    "nproc": "4\n",
    "uname -srm": "Linux 6.1.23-android14-4 x86_64\n",
    "uname -m": "x86_64\n",
    "getprop ro.product.model": "sdk_gphone64_x86_64\n",
    "getprop ro.soc.model": "\n",
    "getprop ro.build.version.release": "14\n",
}


class Device:
    """The folder, and what runs in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def shell(self, command: str) -> tuple[bytes, int]:
        plain = command.removesuffix(" 2>&1")
        override = self.folder / "answers" / plain.replace("/", "_")
        if override.exists():
            return override.read_bytes(), 0
        if plain in ANSWERS:
            return ANSWERS[plain].encode(), 0
        here = command.replace(HOME, str(self.folder))
        done = subprocess.run(["sh", "-c", here], capture_output=True, check=False)
        return done.stdout.replace(str(self.folder).encode(), HOME.encode()), done.returncode

    def push(self, target: str, data: bytes, mode: int) -> None:
        path = Path(target.replace(HOME, str(self.folder)))
        path.write_bytes(data)
        path.chmod(mode & 0o777)


def client(arguments: list[str], folder: Path) -> int:
    """`adb`, as far as it is used: [-s SERIAL] get-state | push LOCAL REMOTE | shell COMMAND."""
    if arguments[:1] == ["-s"]:
        if arguments[1] != SERIAL:
            print(f"error: device '{arguments[1]}' not found", file=sys.stderr)
            return 1
        arguments = arguments[2:]
    device = Device(folder)
    if arguments == ["get-state"]:
        print("device")
        return 0
    if arguments[0] == "push" and len(arguments) == 3:
        source = Path(arguments[1])
        device.push(arguments[2], source.read_bytes(), source.stat().st_mode)
        print(
            f"{source}: 1 file pushed, 0 skipped. 12.1 MB/s ({source.stat().st_size} bytes in 0.001s)"
        )
        return 0
    if arguments[0] == "shell" and len(arguments) == 2:
        out, code = device.shell(arguments[1])
        sys.stdout.buffer.write(out)
        return code
    print(f"adb: unknown command {arguments[0]}", file=sys.stderr)
    return 1


class Server(socketserver.ThreadingTCPServer):
    """An adb server with one device, for the real client.

    Speaks what Android's `adb` documents in `SERVICES.TXT`, `SYNC.TXT` and `shell_protocol.h`: smart
    sockets, the sync service of version 1, the shell protocol.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        self.device = Device(folder)
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Connection)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def __enter__(self) -> Server:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()


class _Connection(socketserver.StreamRequestHandler):
    server: Any

    def handle(self) -> None:
        while length := self.rfile.read(4):
            request = self.rfile.read(int(length, 16)).decode()
            self.server.asked.append(request)
            if not self._answer(request):
                return

    def _answer(self, request: str) -> bool:
        """Whether the connection goes on."""
        device = self.server.device
        if request.startswith("host-serial:") and not request.startswith(f"host-serial:{SERIAL}:"):
            return self._fail(f"device '{request.split(':')[1]}' not found")
        if request == "host:version":
            return self._say("0029")
        if request.endswith(":features"):
            return self._say("shell_v2,cmd")
        if request.endswith(":get-state"):
            return self._say("device")
        if request.startswith(("host:tport:", "host:transport:", "host:transport-any")):
            name = request.split(":")[-1]
            if name not in (SERIAL, "any", "transport-any"):
                return self._fail(f"device '{name}' not found")
            self.wfile.write(b"OKAY")
            if request.startswith("host:tport:"):
                self.wfile.write(struct.pack("<Q", 1))
            return True
        if request.startswith("shell,v2"):
            self.wfile.write(b"OKAY")
            out, code = device.shell(request.partition(":")[2])
            for start in range(0, len(out), 4096):
                chunk = out[start : start + 4096]
                self.wfile.write(struct.pack("<BI", 1, len(chunk)) + chunk)
            self.wfile.write(struct.pack("<BIB", 3, 1, code & 0xFF))
            return False
        if request == "sync:":
            self.wfile.write(b"OKAY")
            self._sync(device)
            return False
        return self._fail(f"unknown request {request}")

    def _sync(self, device: Device) -> None:
        while True:
            word, length = struct.unpack("<4sI", self.rfile.read(8))
            if word == b"QUIT":
                return
            text = self.rfile.read(length).decode()
            if word == b"STAT":  # nothing is there yet
                self.wfile.write(struct.pack("<4sIII", b"STAT", 0, 0, 0))
            elif word == b"SEND":
                target, _, mode = text.rpartition(",")
                data = b""
                while True:
                    word, length = struct.unpack("<4sI", self.rfile.read(8))
                    if word == b"DONE":
                        break
                    data += self.rfile.read(length)
                device.push(target, data, int(mode))
                self.wfile.write(struct.pack("<4sI", b"OKAY", 0))

    def _say(self, text: str) -> bool:
        self.wfile.write(b"OKAY" + f"{len(text):04x}{text}".encode())
        return False

    def _fail(self, text: str) -> bool:
        self.wfile.write(b"FAIL" + f"{len(text):04x}{text}".encode())
        return False


if __name__ == "__main__":
    sys.exit(client(sys.argv[1:], Path(os.environ["FAKE_DEVICE"])))
