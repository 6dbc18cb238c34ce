"""The golden files that the apps' tests compare with say what this package answers."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import qcnn_tflite
from qcnn_tflite.calibration.preprocessing import Preprocessing

ROOT = Path(__file__).parent.parent
ASSETS = [
    folder
    for folder in (ROOT / "android-demo/app/src/main/assets", ROOT / "ios-demo/Assets")
    if folder.is_dir()
]


@pytest.mark.parametrize("assets", ASSETS, ids=lambda folder: folder.relative_to(ROOT).parts[0])
def test_the_apps_models_answer_as_their_golden_file_says(assets):
    golden = json.loads((assets / "golden/golden.json").read_text(encoding="utf-8"))
    assert golden["images"]
    for key, model in (("top", golden["model"]), ("float_top", golden["float"])):
        path = assets / "models" / model
        labels = path.with_name(path.name.replace("-q.tflite", ".tflite")).with_suffix(".txt")
        names = labels.read_text(encoding="utf-8").splitlines()
        for row in golden["images"]:
            found = qcnn_tflite.classify(
                path, assets / "golden" / row["file"], kernel=golden["kernel"], threads=1
            )
            assert [p.index for p in found] == [p["index"] for p in row[key]]
            assert [p.label for p in found] == [names[p["index"]] for p in row[key]]
            np.testing.assert_allclose(
                [p.probability for p in found], [p["probability"] for p in row[key]], atol=1e-5
            )


@pytest.mark.parametrize("assets", ASSETS, ids=lambda folder: folder.relative_to(ROOT).parts[0])
def test_golden_images_are_prepared_as_python_does(assets):
    from qcnn_tflite.graph import read_model
    from qcnn_tflite.graph.metadata import read_mean_image, read_metadata

    golden = json.loads((assets / "golden/golden.json").read_text(encoding="utf-8"))
    model = read_model((assets / "models" / golden["model"]).read_bytes())
    preprocessing = Preprocessing.from_metadata(read_metadata(model), read_mean_image(model))
    for row in golden["images"]:
        pixels = preprocessing.pixels(assets / "golden" / row["file"])
        with Image.open(assets / "golden" / row["prepared"]) as prepared:
            stored = np.asarray(prepared).reshape(pixels.shape)
        if preprocessing.channels == "BGR":
            stored = stored[:, :, ::-1]
        np.testing.assert_array_equal(pixels, stored)


def test_preprocessing_json_is_what_its_script_writes(monkeypatch):
    folder = ROOT / "tests/golden"
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "make_preprocessing", raising=False)
    import make_preprocessing

    stored = json.loads((folder / "preprocessing.json").read_text(encoding="utf-8"))
    fresh = {name: preprocessing for name, _, preprocessing in make_preprocessing.cases()}
    assert [case["name"] for case in stored["cases"]] == list(fresh)
    for case in stored["cases"]:
        preprocessing = fresh[case["name"]]
        assert preprocessing.to_metadata() == case["input"]
        image = folder / case["image"]
        pixels = np.frombuffer(base64.b64decode(case["pixels"]), np.uint8).reshape(case["shape"])
        np.testing.assert_array_equal(preprocessing.pixels(image), pixels)
        values = np.frombuffer(base64.b64decode(case["values"]), "<f4").reshape(case["shape"])
        np.testing.assert_allclose(preprocessing(image), values, rtol=1e-6)
