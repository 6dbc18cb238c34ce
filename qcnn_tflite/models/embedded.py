"""What the package carries of its default network: weights, test images, calibration images."""

from __future__ import annotations

from pathlib import Path

from ..calibration.preprocessing import Preprocessing

FOLDER = Path(__file__).parent / "data"
WEIGHTS = "fashion_alexnet.npz"
TEST_IMAGES = "fashion_mnist_test.npz"
CALIBRATION_IMAGES = "fashion_mnist_calibration.npz"

LICENCE = "MIT (images of Fashion-MNIST, Zalando SE); Apache-2.0 (weights)"

LABELS = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip


def preprocessing() -> Preprocessing:
    """As trained: mean and standard deviation of the training images' pixels in [0, 1]."""
    return Preprocessing(
        size=(28, 28), channels="GRAY", scale=1 / 255, mean=(0.2860,), std=(0.3530,)
    )


def weights() -> Path:
    """The trained weights, float16 ``.npz``."""
    return FOLDER / WEIGHTS


def test_images() -> Path:
    """2,000 images of Fashion-MNIST that were not trained on: ``.npz`` with images and labels."""
    return FOLDER / TEST_IMAGES


def calibration_images() -> Path:
    """500 of the training images: ``.npz`` with images (and labels, which calibration ignores)."""
    return FOLDER / CALIBRATION_IMAGES
