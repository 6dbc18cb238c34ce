"""The commands import and export on files of 2016."""

from __future__ import annotations

import json

import numpy as np
from quantized_cnn_folders import ALEXNET, write_layer


def test_import_says_what_is_missing(command, tmp_path):
    folder = tmp_path / "Bin.Files"
    folder.mkdir()
    (folder / "bvlc_alexnet_aCaF.biasVec.01.bin").write_bytes(b"")
    done = command("import", folder)
    assert done.code == 2
    assert done.err.startswith(f"qcnn-tflite: {folder} lacks 23 of the 24 files of alexnet: ")
    assert "bvlc_alexnet_aCaF.asmtLst.16.cbn (codes of fc6)" in done.err
    assert command("import", tmp_path).code == 2
    assert command("import", folder, "--model", "lenet").code == 2


def test_export_of_another_network(command, nets, tmp_path):
    done = command("export", nets / "float.tflite", tmp_path / "out")
    assert done.code == 2
    assert "the 2016 program knows alexnet, caffenet, cnn_s, vgg16" in done.err
    assert not (tmp_path / "out").exists()


def test_there_and_back(command, tmp_path):
    folder = tmp_path / "Bin.Files"
    folder.mkdir()
    for layer in ALEXNET:
        write_layer(folder, layer, np.random.default_rng(0))
    done = command("import", folder)
    assert done.code == 0, done.err
    assert "wrote alexnet-q.tflite: alexnet, 13." in done.out
    assert command("import", folder).code == 2  # never over what is there
    done = command("export", "alexnet-q.tflite", "out", "--json")
    assert len(json.loads(done.out)["files"]) == 24
    for path in folder.iterdir():
        assert (tmp_path / "work" / "out" / path.name).read_bytes() == path.read_bytes()


def test_export_for_klaus(command, tmp_path):
    done = command("convert", "default", "--config", "klaus", "--jobs", 1)
    assert done.code == 0, done.err
    folder = tmp_path / "pictures"
    folder.mkdir()
    done = command("export", "default-q.tflite", folder, "--klaus", "--json")
    assert sorted(json.loads(done.out)["files"]) == sorted(p.name for p in folder.iterdir())
    assert len(list(folder.glob("layer-*.png"))) == 3
    assert command("export", "default-q.tflite", folder, "--klaus").code == 2
    assert command("export", "default-q.tflite", folder, "--klaus", "-f").code == 0
