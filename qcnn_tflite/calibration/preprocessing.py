"""From an image to the network's input, the same in every command and on every host."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import ConfigError, DataError

FloatArray = NDArray[np.float32]
ImageSource = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8]

_RESIZES = ("squash", "shorter_side", "none")
_CHANNELS = {"RGB": 3, "BGR": 3, "GRAY": 1}
# No network takes more, and a damaged file shall not ask for the memory.
_MAX_SIDE = 16384
_MAX_PIXELS = 64 << 20


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """How an image becomes a network's input: x = (pixel·scale - mean) / std.

    The image is turned as its EXIF orientation says, laid over white where it is transparent, resized,
    and cropped around its centre; only then come the channels' order and the arithmetic. Resizing is
    Pillow's ``Image.BILINEAR``: a triangle filter whose support widens by max(1, in/out), rows
    first, rounded to 8 bits after each pass.

    Parameters
    ----------
    size : (int, int)
        Height and width to resize to.
    crop : (int, int), optional
        Height and width that are cut out at offset (resized - crop) div 2; default: `size`.
    resize : {"squash", "shorter_side", "none"}
        "squash" ignores the aspect ratio. "shorter_side" keeps it: the image just covers `size`, and
        the longer side is ``longer * size // shorter``, rounded down. "none": images must have `size`.
    channels : {"RGB", "BGR", "GRAY"}
        "GRAY" is one channel, ITU-R 601-2 luma.
    scale : float
    mean, std : tuple of float
        One value a channel, in the order of `channels`.
    mean_image : ndarray of shape (H, W, C), optional
        Subtracted in place of `mean`; H and W are `size`, channels in the order of `channels`. Its part
        under the crop counts. Not for "shorter_side".

    Raises
    ------
    ConfigError
        If these contradict each other or are out of range.
    """

    size: tuple[int, int]
    crop: tuple[int, int] | None = None
    resize: str = "squash"
    channels: str = "RGB"
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    mean_image: FloatArray | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.resize not in _RESIZES:
            raise ConfigError(f"resize: expected one of {', '.join(_RESIZES)}, got {self.resize!r}")
        # A list from JSON is not hashable.
        if self.channels not in tuple(_CHANNELS):
            raise ConfigError(
                f"channels: expected one of {', '.join(_CHANNELS)}, got {self.channels!r}"
            )
        count = _CHANNELS[self.channels]
        checked: dict[str, Any] = {
            "size": _sides("size", self.size),
            "crop": _sides("crop", self.size if self.crop is None else self.crop),
            "scale": _numbers("scale", [self.scale], 1)[0],
            "mean": _numbers("mean", self.mean, count),
            "std": _numbers("std", self.std, count),
        }
        if 0 in checked["std"] or checked["scale"] == 0:
            raise ConfigError("std and scale must not be 0")
        if checked["crop"][0] > checked["size"][0] or checked["crop"][1] > checked["size"][1]:
            raise ConfigError(f"crop {checked['crop']} is larger than size {checked['size']}")
        if self.mean_image is not None:
            checked["mean_image"] = _mean_image(self.mean_image, (*checked["size"], count))
            if self.resize == "shorter_side":
                raise ConfigError(
                    'a mean image needs resize "squash" or "none": with "shorter_side" images differ in size'
                )
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of what it returns."""
        assert self.crop is not None  # __post_init__ set it
        return (*self.crop, _CHANNELS[self.channels])

    def __call__(self, image: ImageSource) -> FloatArray:
        """Prepare one image.

        Parameters
        ----------
        image : path, bytes of an image file, PIL.Image.Image, or uint8 ndarray
            An array is (H, W), (H, W, 1), (H, W, 3) as RGB, or (H, W, 4) as RGBA.

        Returns
        -------
        ndarray of shape (H, W, C), float32

        Raises
        ------
        DataError
            If the image cannot be decoded, or has the wrong size for resize "none".
        """
        return self._normalized(self.pixels(image), self.mean_image)

    def varied(self, image: ImageSource, rng: np.random.Generator) -> FloatArray:
        """As a call, but of another crop and perhaps mirrored, for training.

        The crop lies anywhere in the resized image. Where that leaves no room, the image is shifted by
        up to an eighth of its side, and its border rows and columns are repeated.

        Parameters
        ----------
        image : path, bytes, PIL.Image.Image or uint8 ndarray
        rng : numpy.random.Generator

        Returns
        -------
        ndarray of shape (H, W, C), float32
        """
        array = self._resized_pixels(image)
        mean = self.mean_image
        height, width = self.output_shape[:2]
        room = [n - c for n, c in zip(array.shape[:2], (height, width), strict=True)]
        margins = [0 if r else max(1, c // 8) for r, c in zip(room, (height, width), strict=True)]
        if any(margins):
            edges = [(n, n) for n in margins] + [(0, 0)]
            array = np.pad(array, edges, mode="edge")
            mean = None if mean is None else np.pad(mean, edges, mode="edge")
        top, left = (
            int(rng.integers(0, r + 2 * n + 1)) for r, n in zip(room, margins, strict=True)
        )
        array = array[top : top + height, left : left + width]
        if mean is not None:
            mean = mean[top : top + height, left : left + width]
        if rng.integers(2):
            array = array[:, ::-1]
        return self._normalized(array, mean)

    def ten_crops(self, image: ImageSource) -> FloatArray:
        """Four corners and the middle of the resized image, and their mirror images.

        As Krizhevsky et al. (2012) and Caffe count: of the middle `size` of the resized image; a mean
        image is subtracted first and mirrored with the patch.

        Returns
        -------
        ndarray of shape (10, H, W, C), float32
        """
        array = _centre(self._resized_pixels(image), self.size)
        height, width = self.output_shape[:2]
        bottom, right = (n - c for n, c in zip(self.size, (height, width), strict=True))
        corners = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
        patches = []
        for top, left in corners:
            window = slice(top, top + height), slice(left, left + width)
            mean = None if self.mean_image is None else self.mean_image[window]
            patches.append(self._normalized(array[window], mean))
        return np.stack(patches + [patch[:, ::-1] for patch in patches])

    def _normalized(self, pixels: NDArray[np.uint8], mean_image: FloatArray | None) -> FloatArray:
        values = pixels.astype(np.float32) * np.float32(self.scale)
        if mean_image is None:
            values -= np.asarray(self.mean, np.float32)
        else:
            values -= _centre(mean_image, self.output_shape[:2])
        values /= np.asarray(self.std, np.float32)
        return values

    def pixels(self, image: ImageSource) -> NDArray[np.uint8]:
        """The resized and cropped pixels, uint8 (H, W, C), channels in the network's order."""
        array = self._resized_pixels(image)
        return np.ascontiguousarray(_centre(array, self.output_shape[:2]))

    def _resized_pixels(self, image: ImageSource) -> NDArray[np.uint8]:
        name = os.fspath(image) if isinstance(image, (str, os.PathLike)) else "the image"
        opened = _resized(_decoded(image, name, self.channels), self.resize, self.size, name)
        array = np.asarray(opened)
        if self.channels == "GRAY":
            array = array[:, :, None]
        elif self.channels == "BGR":
            array = array[:, :, ::-1]
        return array

    def to_metadata(self) -> dict[str, Any]:
        """The object ``input`` of the model's metadata."""
        assert self.crop is not None
        return {
            "resize": self.resize,
            "size": list(self.size),
            "crop": list(self.crop),
            "channels": self.channels,
            "scale": self.scale,
            "mean": list(self.mean),
            "std": list(self.std),
            "mean_image": self.mean_image is not None,
        }

    @classmethod
    def from_metadata(
        cls, metadata: Mapping[str, Any], mean_image: FloatArray | None = None
    ) -> Preprocessing:
        """The preprocessing that a model's metadata declares.

        Parameters
        ----------
        metadata : mapping
            With the object ``input``, whose ``size`` is required. Unknown keys are ignored.
        mean_image : ndarray, optional
            Required when the metadata announces one.

        Raises
        ------
        ConfigError
        """
        values = metadata.get("input")
        if not isinstance(values, Mapping) or "size" not in values:
            raise ConfigError(
                'a preprocessing needs at least "size": [height, width]; got '
                + (
                    ", ".join(map(str, values)) or "nothing"
                    if isinstance(values, Mapping)
                    else "none"
                )
            )
        if values.get("mean_image") and mean_image is None:
            raise ConfigError("the preprocessing subtracts a mean image, and there is none with it")
        channels = values.get("channels", "RGB")
        count = _CHANNELS.get(channels, 3) if isinstance(channels, str) else 3
        return cls(
            size=values["size"],
            crop=values.get("crop"),
            resize=values.get("resize", "squash"),
            channels=channels,
            scale=values.get("scale", 1.0),
            mean=values.get("mean", (0.0,) * count),
            std=values.get("std", (1.0,) * count),
            mean_image=mean_image if values.get("mean_image") else None,
        )


class TenCrops(Preprocessing):
    """Prepares an image as ten patches, one below another: shape (10 · H, W, C).

    Parameters
    ----------
    base : Preprocessing
    """

    def __init__(self, base: Preprocessing) -> None:
        super().__init__(**{f.name: getattr(base, f.name) for f in fields(base)})
        object.__setattr__(self, "_base", base)

    @property
    def output_shape(self) -> tuple[int, int, int]:
        height, width, channels = super().output_shape
        return (10 * height, width, channels)

    def __call__(self, image: ImageSource) -> FloatArray:
        base: Preprocessing = self.__dict__["_base"]
        patches = base.ten_crops(image)
        return patches.reshape(-1, *patches.shape[2:])


def _sides(name: str, value: Any) -> tuple[int, int]:
    sides = tuple(value) if isinstance(value, (list, tuple)) else ()
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in sides)
    if len(sides) != 2 or not whole or not all(1 <= n <= _MAX_SIDE for n in sides):
        raise ConfigError(
            f"{name}: expected [height, width], each from 1 to {_MAX_SIDE}, got {value!r}"
        )
    return (sides[0], sides[1])


def _numbers(name: str, value: Any, count: int) -> tuple[float, ...]:
    numbers = tuple(value) if isinstance(value, (list, tuple)) else ()
    real = all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in numbers)
    if len(numbers) != count or not real or not all(math.isfinite(n) for n in numbers):
        expected = "a number" if name == "scale" else f"{count} number{'s' if count > 1 else ''}"
        raise ConfigError(f"{name}: expected {expected}, got {value!r}")
    return tuple(float(n) for n in numbers)


def _mean_image(image: Any, shape: tuple[int, ...]) -> FloatArray:
    array = np.asarray(image, np.float32)
    if array.shape != shape or not np.isfinite(array).all():
        raise ConfigError(f"mean_image: expected finite values of shape {shape}, got {array.shape}")
    return array


def _decoded(image: ImageSource, name: str, channels: str) -> Image.Image:
    """Upright, opaque, mode L or RGB."""
    mode = "L" if channels == "GRAY" else "RGB"
    if isinstance(image, np.ndarray):
        image = _from_array(image)
    try:
        if isinstance(image, Image.Image):
            return _opaque(ImageOps.exif_transpose(image)).convert(mode)
        source = io.BytesIO(image) if isinstance(image, bytes) else image
        with Image.open(source) as opened:
            return _opaque(ImageOps.exif_transpose(opened)).convert(mode)
    except FileNotFoundError:
        raise DataError(f"{name}: there is no such image") from None
    except UnidentifiedImageError:
        raise DataError(f"{name} is not an image of a known format; remove or replace it") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(
            f"{name} has more than {Image.MAX_IMAGE_PIXELS:,} pixels, which would take too much memory; "
            "scale it down"
        ) from None
    # Decoders of damaged files raise nearly anything.
    except Exception as error:
        raise DataError(f"{name} cannot be decoded ({error}); remove or replace it") from error


def _from_array(array: NDArray[Any]) -> Image.Image:
    if array.dtype != np.uint8:
        raise DataError(f"expected an image of uint8 pixels, got {array.dtype}")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if (
        array.size == 0
        or array.ndim not in (2, 3)
        or (array.ndim == 3 and array.shape[2] not in (3, 4))
    ):
        raise DataError(
            f"expected an image of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), got {array.shape}"
        )
    return Image.fromarray(np.ascontiguousarray(array))


def _opaque(image: Image.Image) -> Image.Image:
    """8 bits a channel, transparent parts over white."""
    if image.mode.startswith("I;16") or image.mode == "I":
        # Pillow's own conversion clips 16-bit greys; every other decoder keeps the upper byte.
        return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("floating-point pixels")
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


def _resized(image: Image.Image, resize: str, size: tuple[int, int], name: str) -> Image.Image:
    height, width = size
    if resize == "shorter_side":
        if image.width * height >= image.height * width:
            width = image.width * height // image.height
        else:
            height = image.height * width // image.width
        if height * width > _MAX_PIXELS:
            raise DataError(
                f"{name}: {image.width}x{image.height} pixels are too oblong to resize to "
                f"{width}x{height}; crop it"
            )
    elif resize == "none" and (image.height, image.width) != size:
        raise DataError(
            f"{name} has {image.width}x{image.height} pixels; this model does not resize, it takes "
            f"{width}x{height}"
        )
    if (image.height, image.width) == (height, width):
        return image
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _centre(array: NDArray[Any], crop: tuple[int, int]) -> NDArray[Any]:
    top, left = ((n - c) // 2 for n, c in zip(array.shape[:2], crop, strict=True))
    return array[top : top + crop[0], left : left + crop[1]]
