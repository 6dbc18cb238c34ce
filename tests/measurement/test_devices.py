"""Benchmarks on another machine: a scripted device by adb, and by Debian's own client; a real ssh server."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import fake_device
import pytest
import small_network
from fake_device import SERIAL, Server
from result_files import one

from qcnn_tflite import library_path
from qcnn_tflite.cli import main
from qcnn_tflite.errors import ConfigError, RuntimeMissingError
from qcnn_tflite.measurement.devices import measure_on_device, open_device
from qcnn_tflite.measurement.devices import run as device_run
from qcnn_tflite.measurement.entry import Settings
from qcnn_tflite.measurement.run import Interrupted

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> Path:
    """net.tflite and net-q.tflite, converted from it."""
    import qcnn_tflite

    folder = tmp_path_factory.mktemp("models")
    (folder / "net.tflite").write_bytes(small_network.float_model())
    qcnn_tflite.convert(folder / "net.tflite", folder / "net-q.tflite", jobs=1)
    return folder


@pytest.fixture
def tool(tmp_path) -> Path:
    """benchmark_model for this machine, as one file."""
    path = tmp_path / "benchmark_model"
    text = (HERE / "fake_tool.py").read_text(encoding="utf-8")
    path.write_text(text.replace("/usr/bin/env python3", sys.executable), encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    """What the device holds."""
    found = tmp_path / "device"
    found.mkdir()
    return found


@pytest.fixture
def adb(tmp_path, folder, monkeypatch) -> Path:
    """A stand-in of the client, first in PATH."""
    programs = tmp_path / "bin"
    programs.mkdir()
    client = programs / "adb"
    client.write_text(
        f'#!/bin/sh\nFAKE_DEVICE={folder} exec {sys.executable} {fake_device.__file__} "$@"\n'
    )
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return folder


def _benchmark(models: Path, tool: Path, device: str, output: Path, *more: object) -> int:
    arguments = [
        "benchmark", models / "net-q.tflite", "--reference", models / "net.tflite",
        "--device", device, "--benchmark-model", tool, "--library", library_path(),
        "--runs", 5, "-o", output, *more,
    ]  # fmt: skip
    return main([str(a) for a in arguments])


def _check(output: Path, device: str) -> list[dict]:
    document = json.loads(output.read_text(encoding="utf-8"))
    results = document["results"]
    # The network has local response normalization: float with the tool's and with ours, and q.
    assert [(r["variant"], r["lrn"]) for r in results] == [
        ("float", "stock"),
        ("float", "ours"),
        ("q", "ours"),
    ]
    assert "left_out" not in document
    for result in results:
        assert result["device"] == device
        assert result["runs_per_sample"] == 5
        assert result["runtime"]["name"] == "benchmark_model"
        assert result["footprint_bytes"] == 12.5 * 2**20
        assert result["profile"][0]["type"] == "QConv"
        assert result["load_ms"] > 0
        assert "partial" not in result
    assert results[0]["kernel"] is None
    return results


def test_adb(models, tool, adb, tmp_path, capsys):
    output = tmp_path / "out.json"
    assert _benchmark(models, tool, f"adb:{SERIAL}", output, "--kernel", "reference") == 0
    results = _check(output, f"adb:{SERIAL}")
    assert results[2]["kernel"] == "reference"
    assert results[0]["machine"] == {
        "cpu": "sdk_gphone64_x86_64",
        "cpus": 4,
        "instruction_set": "AVX2",
        "features": ["avx2", "fma", "sse4_2"],
        "system": "Linux 6.1.23-android14-4 x86_64",
    }
    assert results[0]["versions"]["android"] == "14"
    assert list(adb.iterdir()) == []  # nothing stays on the device
    assert "medians of 5 runs" in capsys.readouterr().out


def test_debians_adb_client(models, tool, folder, tmp_path, monkeypatch):
    real = shutil.which("adb")
    if real is None:
        pytest.skip("no adb here (Debian: adb)")
    with Server(folder) as server:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.port))
        output = tmp_path / "out.json"
        assert _benchmark(models, tool, f"adb:{SERIAL}", output) == 0
        _check(output, f"adb:{SERIAL}")
        assert list(folder.iterdir()) == []
        assert "sync:" in server.asked
        absent = open_device("adb:no-such-phone")
        with pytest.raises(RuntimeMissingError, match="adb:no-such-phone: no device is ready"):
            absent.check()


def test_devices_that_are_not_there(adb, monkeypatch, tmp_path):
    with pytest.raises(
        RuntimeMissingError, match=r"adb:none: no device is ready.*'none' not found"
    ):
        open_device("adb:none").check()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeMissingError, match="adb, which is not installed"):
        open_device("adb").check()
    for text in ("usb", "ssh:", "ssh:-oProxyCommand=x", ""):
        with pytest.raises(ConfigError, match="expected adb, adb:SERIAL, ssh:HOST"):
            open_device(text)


def test_what_fails_on_the_device_is_a_sentence(models, tool, adb, tmp_path):
    files = {"float": models / "net.tflite", "q": models / "net-q.tflite"}
    with open_device("adb") as remote:
        arguments = {"runs": 1, "tool": str(tool)}
        results, left_out = measure_on_device(
            remote, "net", files, Settings(), library=None, **arguments
        )
        assert [r["variant"] for r in results] == ["float"]
        assert [e["variant"] for e in left_out] == ["q"]
        assert "give libqcnn_ops.so by --library" in left_out[0]["reason"]
        broken = tmp_path / "broken.tflite"
        broken.write_bytes(b"no model")
        results, left_out = measure_on_device(
            remote, "net", {"float": broken}, Settings(), library=None, **arguments
        )
        assert results == []
        assert "benchmark_model ended with code 1" in left_out[0]["reason"]
        _, left_out = measure_on_device(
            remote, "net", {"float": broken}, Settings(), library=None, runs=1, tool="/no/such/tool"
        )
        assert "not found" in left_out[0]["reason"]
        for text, words in ((b"text", "no shared library"), (b"", "no ELF")):
            broken.write_bytes(text)
            with pytest.raises(ConfigError, match=words):
                measure_on_device(remote, "net", files, Settings(), library=broken, **arguments)
        # 183 is aarch64.
        broken.write_bytes(b"\x7fELF" + bytes(14) + b"\xb7\x00")
        with pytest.raises(ConfigError, match="is for aarch64, adb is x86_64"):
            measure_on_device(remote, "net", files, Settings(), library=broken, **arguments)
    assert list(adb.iterdir()) == []


def test_an_interrupt_keeps_what_was_measured(models, tool, adb, monkeypatch):
    files = {"float": models / "net.tflite"}
    timed = []
    real = device_run._Subject.time

    def interrupted(self, runs):
        if timed:
            raise KeyboardInterrupt
        timed.append(runs)
        real(self, runs)

    monkeypatch.setattr(device_run._Subject, "time", interrupted)
    with pytest.raises(Interrupted) as stop, open_device("adb") as remote:
        measure_on_device(remote, "net", files, Settings(), runs=10, tool=str(tool), library=None)
    (result,) = stop.value.results
    assert result["partial"] == "5 of 10 runs: interrupted"
    assert list(adb.iterdir()) == []


@pytest.fixture
def ssh_config(tmp_path):
    """A real server on the loopback address, for a key made for it; the client's configuration."""
    sshd, keygen = (
        shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin"),
        shutil.which("ssh-keygen"),
    )
    if sshd is None or keygen is None or shutil.which("ssh") is None:
        pytest.skip("no ssh and sshd here (Debian: openssh-client, openssh-server)")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd of root insists
    for name in ("host", "user"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "authorized").write_text((tmp_path / "user.pub").read_text())
    server = tmp_path / "sshd_config"
    server.write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {tmp_path}/host\nPidFile none\n"
        f"AuthorizedKeysFile {tmp_path}/authorized\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
    )
    key = (tmp_path / "host.pub").read_text().split(" ")
    (tmp_path / "known").write_text(f"[127.0.0.1]:{port} {key[0]} {key[1]}\n")
    client = tmp_path / "ssh_config"
    client.write_text(
        f"Host board\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {tmp_path}/user\n"
        f"  IdentitiesOnly yes\n  UserKnownHostsFile {tmp_path}/known\n"
        "  StrictHostKeyChecking yes\n"
    )
    log = tmp_path / "sshd.log"
    with log.open("wb") as file:
        process = subprocess.Popen([sshd, "-D", "-e", "-f", server], stderr=file)
    end = time.monotonic() + 60
    while b"Server listening" not in log.read_bytes():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            pytest.skip(f"sshd does not start here: {log.read_text().strip()}")
        time.sleep(0.05)
    yield client
    process.terminate()
    process.wait()


def test_a_real_ssh_server(models, tool, ssh_config, tmp_path):
    output = tmp_path / "out.json"
    assert _benchmark(models, tool, "ssh:board", output, "--ssh-config", ssh_config) == 0
    results = _check(output, "ssh:board")
    assert results[0]["machine"]["cpus"] >= 1
    assert results[0]["machine"]["system"].startswith("Linux ")
    with pytest.raises(RuntimeMissingError, match="no connection"):
        open_device("ssh:nobody@board", str(ssh_config)).check()


def test_what_an_app_exports(tmp_path, result_file, capsys):
    export = result_file([one("float", 20.0, 2000), one("q", 4.0, 100)])
    copy = tmp_path / "copy.json"
    assert main(["benchmark", "--device", f"ios:{export}", "-o", str(copy)]) == 0
    assert "| q | 4.000 |" in capsys.readouterr().out
    assert json.loads(copy.read_text())["results"][1]["device"] == f"ios:{export}"
    assert main(["benchmark", "--device", f"ios:{tmp_path}/absent.json"]) == 2
    assert "can be read" in capsys.readouterr().err
