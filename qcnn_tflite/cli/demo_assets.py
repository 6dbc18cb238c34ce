"""``qcnn-tflite demo-assets``: what the Android and iOS apps show, and what their tests compare with."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError, ModelError, OutputError, OutputExistsError
from ..sizes import format_bytes
from . import options

if TYPE_CHECKING:
    from PIL import Image

HELP = "write model, labels, float twin and golden file for the demo apps"
EXAMPLES = """\
  qcnn-tflite demo-assets -f                              both apps, from the project's folder
  qcnn-tflite demo-assets efficientnet_lite0 --calibration photos/ -f
  qcnn-tflite demo-assets net.tflite --images mine/ -o assets/
"""

FORMAT = 1
TARGETS = (Path("android-demo/app/src/main/assets"), Path("ios-demo/Assets"))

# ImageNet in the pocket where its weights are installed; else what the package carries.
_PREFERRED = "efficientnet_lite0"
# Height and width of the golden images made of the embedded ones: as they are, larger, oblong. Pillow 12
# and later swap their passes for images much taller than wide, which rounds some pixels otherwise.
_SIZES = ((28, 28), (28, 28), (96, 128), (131, 90), (57, 90), (200, 150))
_MOST_IMAGES = 32
_TOP = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        nargs="?",
        help="a named model or a float .tflite; default: efficientnet_lite0 where its weights are "
        "installed, else the one that comes with the package",
    )
    parser.add_argument(
        "-o",
        "--output",
        action="append",
        metavar="FOLDER",
        help="an app's asset folder, may be repeated; default: those of both apps under this folder",
    )
    parser.add_argument(
        "--calibration", metavar="FOLDER", help="images to calibrate on, as of convert"
    )
    parser.add_argument(
        "--images",
        metavar="FOLDER",
        help=f"golden images, at most {_MOST_IMAGES}; default: some of Fashion-MNIST and two photos",
    )
    options.add_force(parser)
    options.add_preprocessing(parser)


def run(args: argparse.Namespace) -> int:
    import qcnn_tflite
    from qcnn_tflite import models

    targets = _targets(args.output, overwrite=args.force)
    model = args.model or _default_model()
    if model == "default":
        model = models.DEFAULT
    calibration = args.calibration
    if calibration is None and model == models.DEFAULT:
        calibration = models.calibration_images()
    name = Path(model).stem
    with tempfile.TemporaryDirectory(prefix="qcnn-demo-assets.") as temporary:
        folder = Path(temporary)
        (folder / "models").mkdir()
        (folder / "golden").mkdir()
        quantized = folder / "models" / f"{name}-q.tflite"
        twin = folder / "models" / f"{name}.tflite"
        result = qcnn_tflite.convert(
            model,
            quantized,
            # Today's networks are mostly 1x1 convolutions, which `paper` is too coarse for.
            config="paper" if model == models.DEFAULT else "accurate",
            calibration=calibration,
            preprocessing=options.preprocessing(args),
            float_output=twin,
        )
        labels = _labels(quantized)
        (folder / "models" / f"{name}.txt").write_text("\n".join([*labels, ""]), encoding="utf-8")
        golden = write_golden(folder / "golden", quantized, twin, images=args.images)
        for target in targets:
            _replace(folder, target)
    report: dict[str, Any] = {
        "folders": [str(target) for target in targets],
        "model": name,
        "float_bytes": result.report.float_bytes,
        "quantized_bytes": result.report.quantized_bytes,
        "images": len(golden["images"]),
    }
    if args.json:
        print(json.dumps(report, indent=2))
    else:
        print(
            f"{name}: float {format_bytes(report['float_bytes'])}, quantized "
            f"{format_bytes(report['quantized_bytes'])}, {report['images']} golden images\n"
            f"in {', '.join(report['folders'])}"
        )
    return 0


def write_golden(
    folder: Path, quantized: Path, twin: Path, *, images: str | None = None
) -> dict[str, Any]:
    """Write ``golden.json`` and its images: what every host must answer.

    Parameters
    ----------
    folder : Path
        Exists.
    quantized, twin : Path
        The models.
    images : path, optional
        A folder of images.

    Returns
    -------
    dict
        What ``golden.json`` holds. Answers are those of the kernel ``reference``, whose arithmetic is
        the same on every processor; images are decoded to RGB, so that no host's decoder matters.

    Raises
    ------
    DataError
        If there is no image in `images`.
    """
    import numpy as np
    from PIL import Image

    import qcnn_tflite

    from ..calibration.preprocessing import Preprocessing
    from ..graph import read_model
    from ..graph.metadata import read_mean_image, read_metadata

    model = read_model(quantized.read_bytes())
    metadata = read_metadata(model) or {}
    preprocessing = Preprocessing.from_metadata(metadata, read_mean_image(model))
    # The twin of a user's model says nothing itself: the apps take the quantized model's word for it.
    how: dict[str, Any] = {
        "top": _TOP,
        "preprocessing": preprocessing,
        "labels": (metadata.get("output") or {}).get("labels"),
        "kernel": "reference",
        "threads": 1,
    }
    fixed = preprocessing.size if preprocessing.resize == "none" else None
    rows = []
    for number, image in enumerate(_images(images, fixed)):
        image.save(folder / f"{number:02}.png", optimize=True)
        pixels = preprocessing.pixels(image)
        if preprocessing.channels == "BGR":
            pixels = pixels[:, :, ::-1]
        prepared = Image.fromarray(
            np.ascontiguousarray(pixels.squeeze(-1) if pixels.shape[2] == 1 else pixels)
        )
        prepared.save(folder / f"{number:02}-prepared.png", optimize=True)
        rows.append(
            {
                "file": f"{number:02}.png",
                "width": image.width,
                "height": image.height,
                "prepared": f"{number:02}-prepared.png",
                "top": _top(qcnn_tflite.classify(quantized, image, **how)),
                "float_top": _top(qcnn_tflite.classify(twin, image, **how)),
            }
        )  # fmt: skip
    golden = {
        "format": FORMAT,
        "model": quantized.name,
        "float": twin.name,
        "kernel": "reference",
        "images": rows,
    }
    text = json.dumps(golden, indent=1, ensure_ascii=False)
    (folder / "golden.json").write_text(text + "\n", encoding="utf-8")
    return golden


def _default_model() -> str:
    from qcnn_tflite import models
    from qcnn_tflite.models.sources import SOURCES

    return _PREFERRED if SOURCES[_PREFERRED].installed() is not None else models.DEFAULT


def _targets(given: list[str] | None, *, overwrite: bool) -> list[Path]:
    if given:
        targets = [Path(folder) for folder in given]
    else:
        targets = [target for target in TARGETS if (Path.cwd() / target.parts[0]).is_dir()]
        if not targets:
            raise OutputError(
                f"neither {TARGETS[0].parts[0]} nor {TARGETS[1].parts[0]} is in {Path.cwd()}; go to "
                "the project's folder, or name an app's asset folder with -o"
            )
    for target in targets:
        if target.exists() and not target.is_dir():
            raise OutputError(f"{target} is a file; name an app's asset folder with -o")
        for part in ("models", "golden"):
            if (target / part).exists() and not overwrite:
                raise OutputExistsError(
                    f"{target / part} exists already; replace what it holds with -f, or choose "
                    "another folder with -o"
                )
    return targets


def _labels(quantized: Path) -> list[str]:
    from ..graph import read_model
    from ..graph.metadata import read_metadata

    metadata = read_metadata(read_model(quantized.read_bytes()))
    if metadata is None or "input" not in metadata:
        raise ModelError(
            "nothing says how this model's images are prepared, which the apps read from it; say it "
            "with --preprocessing"
        )
    return list((metadata.get("output") or {}).get("labels") or [])


def _images(folder: str | None, size: tuple[int, int] | None) -> Iterator[Image.Image]:
    """Upright RGB images, of `size` where the model does not resize."""
    from PIL import Image

    for image in _given_images(folder) if folder is not None else _own_images():
        fits = size is None or (image.height, image.width) == size
        yield image if fits else image.resize((size[1], size[0]), Image.Resampling.BILINEAR)  # type: ignore[index]


def _given_images(folder: str) -> Iterator[Image.Image]:
    from ..calibration.preprocessing import _decoded

    files = sorted(path for path in Path(folder).glob("*") if path.is_file())[:_MOST_IMAGES]
    if not files:
        raise DataError(f"there is no image in {folder}; --images takes a folder of them")
    for path in files:
        yield _decoded(path, str(path), "RGB")


def _own_images() -> Iterator[Image.Image]:
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_sample_images

    from qcnn_tflite import models

    with np.load(models.test_images()) as data:
        fashion = data["images"][: len(_SIZES)]
    for pixels, (height, width) in zip(fashion, _SIZES, strict=True):
        image = Image.fromarray(np.asarray(pixels, np.uint8).reshape(28, 28)).convert("RGB")
        yield image.resize((width, height), Image.Resampling.BICUBIC)
    for photo in load_sample_images().images:
        yield Image.fromarray(photo).resize((320, 213), Image.Resampling.LANCZOS)


def _top(found: list[Any]) -> list[dict[str, Any]]:
    return [
        {"index": p.index, "label": p.label, "probability": float(f"{p.probability:.9g}")}
        for p in found
    ]


def _replace(source: Path, target: Path) -> None:
    """Put copies of the folders of `source` in place of those in `target`."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        for part in ("models", "golden"):
            new = Path(tempfile.mkdtemp(prefix=f".{part}.", dir=target))
            try:
                shutil.copytree(source / part, new, dirs_exist_ok=True)
                new.chmod(0o755)
                old = new.with_name(new.name + ".old")
                if (target / part).exists():
                    os.rename(target / part, old)
                os.rename(new, target / part)
                shutil.rmtree(old, ignore_errors=True)
            finally:
                shutil.rmtree(new, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"{target} could not be written ({error.strerror or error}); free some space, or choose "
            "another folder with -o"
        ) from error
