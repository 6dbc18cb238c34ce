"""Downloads of weights from a server on this machine: whole, cut, wrong, missing, none at all."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from qcnn_tflite import models
from qcnn_tflite.errors import ModelError
from qcnn_tflite.models import registry
from qcnn_tflite.models.download import cache_folder, fetch
from qcnn_tflite.models.sources import Source

CONTENT = np.random.default_rng(0).integers(0, 256, 1_000_000, np.uint8).tobytes()


@dataclass
class Server:
    """What it serves, how it misbehaves, and what it was asked."""

    files: dict[str, bytes]
    url: str = ""
    ranges: bool = True
    cuts: int = 0  # answers that end in the middle
    silent: bool = False  # announces no length
    asked: list[str] = field(default_factory=list)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.append(handler.headers.get("Range", ""))
        data = self.files.get(handler.path)
        if data is None:
            handler.send_error(404)
            return
        start = 0
        match = re.fullmatch(r"bytes=(\d+)-", self.asked[-1])
        if match and self.ranges:
            start = int(match[1])
            if start >= len(data):
                handler.send_error(416)
                return
        handler.send_response(206 if start else 200)
        if not self.silent:
            handler.send_header("Content-Length", str(len(data) - start))
        handler.end_headers()
        body = data[start:]
        if self.cuts:
            self.cuts -= 1
            body = body[: len(body) // 2]
        handler.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server({"/weights.bin": CONTENT})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        state.url = f"http://127.0.0.1:{listening.server_port}"
        yield state
        listening.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("QCNN_TFLITE_CACHE", str(folder))
    monkeypatch.delenv("QCNN_TFLITE_MIRROR", raising=False)
    return folder


def source(url: str, content: bytes = CONTENT) -> Source:
    return Source(
        "weights.bin", f"sha1:{hashlib.sha1(content).hexdigest()}", "free", url=f"{url}/weights.bin"
    )


def test_whole(server, cache, capfd):
    path = fetch(source(server.url), model="net")
    assert path == cache / "weights.bin"
    assert path.read_bytes() == CONTENT
    assert list(cache.iterdir()) == [path]
    assert capfd.readouterr().err == ""  # no bar where there is no terminal
    assert fetch(source(server.url), model="net") == path
    assert len(server.asked) == 1  # the second time from the cache


def test_bar(server, capfd):
    fetch(source(server.url), model="net", progress=True)
    assert "weights of net: 100%" in capfd.readouterr().err


def test_without_an_announced_length(server):
    server.silent = True
    assert fetch(source(server.url), model="net").read_bytes() == CONTENT


def test_cut_connection_is_taken_up_again(server):
    server.cuts = 3
    assert fetch(source(server.url), model="net").read_bytes() == CONTENT
    assert server.asked == ["", "bytes=500000-", "bytes=750000-", "bytes=875000-"]


def test_what_arrived_is_kept_for_the_next_time(server, cache, monkeypatch):
    server.files = {}
    with pytest.raises(ModelError):
        fetch(source(server.url), model="net")
    cache.joinpath("weights.bin.part").write_bytes(CONTENT[:123_456])
    server.files = {"/weights.bin": CONTENT}
    assert fetch(source(server.url), model="net").read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=123456-"
    assert [p.name for p in cache.iterdir()] == ["weights.bin"]


def test_server_without_ranges(server, cache):
    server.ranges = False
    cache.mkdir()
    cache.joinpath("weights.bin.part").write_bytes(b"x" * 1000)
    assert fetch(source(server.url), model="net").read_bytes() == CONTENT


def test_whole_but_not_yet_renamed(server, cache):
    cache.mkdir()
    cache.joinpath("weights.bin.part").write_bytes(CONTENT)
    assert fetch(source(server.url), model="net").read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(CONTENT)}-"]


def test_wrong_checksum(server, cache):
    server.files["/weights.bin"] = CONTENT[:-1] + b"!"
    with pytest.raises(
        ModelError,
        match=rf"has the checksum sha1:\w+, expected sha1:\w+; it was not kept; get weights\.bin by other "
        rf"means and put it into {cache}, give its path as weights",
    ):
        fetch(source(server.url), model="net")
    assert list(cache.iterdir()) == []


def test_wrong_file_in_the_cache(server, cache):
    cache.mkdir()
    cache.joinpath("weights.bin").write_bytes(b"mine")
    with pytest.raises(ModelError, match=r"is not the published file .*; delete it, or give it"):
        fetch(source(server.url), model="net")
    assert cache.joinpath("weights.bin").read_bytes() == b"mine"
    assert server.asked == []


def test_not_found(server, cache):
    with pytest.raises(
        ModelError, match=rf"the server answers 404 .*; get gone\.bin .* into {cache}"
    ):
        fetch(replace(source(server.url), file="gone.bin", url=f"{server.url}/gone"), model="net")


def test_no_network(cache):
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(
            ModelError, match=rf"could not be downloaded \(.*\); get weights\.bin .* into {cache}"
        ):
            fetch(source(url), model="net")
    with pytest.raises(ModelError, match="could not be downloaded"):
        fetch(source("http://no-such-host.invalid"), model="net")
    with pytest.raises(ModelError, match="could not be downloaded"):
        fetch(source("nonsense"), model="net")


def test_connection_that_breaks_for_good(server, cache):
    server.cuts = 10_000  # until a byte a time is left, and then none
    with pytest.raises(ModelError, match="could not be downloaded"):
        fetch(source(server.url), model="net")
    kept = cache / "weights.bin.part"
    assert kept.read_bytes() == CONTENT[: kept.stat().st_size]
    assert kept.stat().st_size > 0.99 * len(CONTENT)


def test_mirror(server, monkeypatch):
    monkeypatch.setenv("QCNN_TFLITE_MIRROR", f"{server.url}/")
    assert fetch(source("http://no-such-host.invalid"), model="net").read_bytes() == CONTENT


def test_cache_folder_that_cannot_be_made(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("QCNN_TFLITE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ModelError, match="could not be downloaded"):
        fetch(source(server.url), model="net")


def test_cache_follows_xdg(tmp_path, monkeypatch):
    monkeypatch.delenv("QCNN_TFLITE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr("sys.platform", "linux")
    assert cache_folder() == tmp_path / "xdg" / "qcnn_tflite"


def test_named_model_without_weights_downloads_them(server, monkeypatch, tmp_path):
    """The whole way of a user who has nothing but the name."""
    small = replace(
        models.get("alexnet_owt"), network=models.get("fashion_alexnet").network.with_classes(1000)
    )
    arrays = {}
    for name, shape in small.network.weight_shapes().items():
        arrays[f"{name}/kernel"] = np.full(shape, 0.01, np.float32)
        arrays[f"{name}/bias"] = np.zeros(shape[-1], np.float32)
    np.savez_compressed(tmp_path / "w.npz", **arrays)
    content = (tmp_path / "w.npz").read_bytes()
    published = Source(
        "net.npz",
        f"sha256:{hashlib.sha256(content).hexdigest()[:8]}",
        "CC0",
        url=f"{server.url}/net.npz",
    )
    server.files["/net.npz"] = content
    monkeypatch.setitem(
        registry._MODELS, "alexnet_owt", replace(small, source=published, licence="CC0")
    )
    model = models.load_float("alexnet_owt", progress=False)
    assert model.licence == "CC0"
    assert model.labels[999] == "toilet tissue"
    # Offline from now on.
    server.files.clear()
    assert models.load_float("alexnet_owt").data == model.data
    # The same weights given by hand are the published ones, others are not.
    assert models.load_float("alexnet_owt", tmp_path / "w.npz").licence == "CC0"
    np.savez(tmp_path / "other.npz", **arrays)
    assert models.load_float("alexnet_owt", tmp_path / "other.npz").licence is None


@pytest.mark.parametrize("name", ["alexnet", "caffenet", "cnn_s", "vgg16", "alexnet_owt"])
def test_published_sources_are_complete(name):
    source = models.get(name).source
    assert source.url.endswith(source.file)
    assert re.fullmatch(r"sha1:[0-9a-f]{40}|sha256:[0-9a-f]{8,64}", source.digest)
    assert models.get(name).licence


def test_processes_that_want_the_same_file_fetch_it_once(server, cache):
    # A lock belongs to an open file: threads wait for each other as processes do.
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch(source(server.url), model="net"), range(4)))
    assert [path.read_bytes() for path in paths] == [CONTENT] * 4
    assert server.asked == [""]
    assert [p.name for p in cache.iterdir()] == ["weights.bin"]


def test_the_one_that_waits_goes_on_when_the_other_fails(server, cache):
    server.files["/weights.bin"] = CONTENT[:-1] + b"!"

    def attempt(_: int) -> str:
        with pytest.raises(ModelError) as caught:
            fetch(source(server.url), model="net")
        return str(caught.value)

    with ThreadPoolExecutor(3) as pool:
        assert all("it was not kept" in message for message in pool.map(attempt, range(3)))
    assert list(cache.iterdir()) == []
