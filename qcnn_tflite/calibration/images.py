"""Images for calibration and evaluation, read and prepared batch by batch."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .preprocessing import Preprocessing
from .sources import array_of, class_folders, images_below, read_csv

FloatArray = NDArray[np.float32]

# Pillow decodes and resizes outside the interpreter lock.
_THREADS = min(4, os.cpu_count() or 1)

Indices = Sequence[int] | NDArray[np.integer[Any]]
# Index of an image to the network's input for it, (H, W, C).
_Load = Callable[[int], FloatArray]
_Vary = Callable[[int, np.random.Generator], FloatArray]


class CalibrationImages:
    """Network inputs that can be read again and again, in any order.

    Parameters
    ----------
    count : int
    shape : tuple of int
        Of one image, as the network takes it.
    load : callable
        Index to array.
    names : sequence of str, optional
        Of the files.
    vary : callable, optional
        Index and random generator to the image cropped and mirrored at random; None where the values
        are not known to be a picture.
    """

    def __init__(
        self,
        count: int,
        shape: tuple[int, ...],
        load: _Load,
        names: Sequence[str] | None = None,
        vary: _Vary | None = None,
    ) -> None:
        self._count = count
        self._load = load
        self._names = names
        self._vary = vary
        self.shape = shape

    @property
    def can_vary(self) -> bool:
        """Whether `batches` can crop and mirror at random."""
        return self._vary is not None

    def __len__(self) -> int:
        return self._count

    def name(self, index: int) -> str:
        """For people: the image's file, or its number where it came in an array."""
        return f"image {index}" if self._names is None else self._names[index]

    def subset(self, indices: Indices) -> CalibrationImages:
        """Some of the images, in this order; without random crops."""
        chosen = [int(i) for i in indices]
        names = [self.name(i) for i in chosen]
        return CalibrationImages(len(chosen), self.shape, lambda i: self._load(chosen[i]), names)

    def views(self, count: int, seed: int) -> CalibrationImages:
        """Every image, then every image cropped and mirrored at random, `count` views of each in all.

        View v of image i is image ``v * len(self) + i``. Images that cannot vary stay alone.
        """
        if count == 1 or self._vary is None:
            return self
        vary, n = self._vary, self._count

        def load(index: int) -> FloatArray:
            view, image = divmod(index, n)
            if view == 0:
                return self._load(image)
            return vary(image, np.random.default_rng((seed, view, image)))

        return CalibrationImages(
            count * n, self.shape, load, [self.name(i) for i in range(n)] * count
        )

    def batches(
        self, size: int, indices: Indices | None = None, *, variant: Sequence[int] | None = None
    ) -> Iterator[FloatArray]:
        """Prepared images, `size` at a time; the last batch may be smaller.

        Parameters
        ----------
        size : int
        indices : sequence of int, optional
            Which images, in this order; default: all.
        variant : sequence of int, optional
            Seed of random crops and mirrorings, where the images can vary: equal ones give equal images,
            whatever the order. Default: every image as it is evaluated.

        Yields
        ------
        ndarray of shape (n, ...), float32

        Raises
        ------
        DataError
            If an image has become unreadable, has another shape, or a value is not finite.
        """
        order = range(self._count) if indices is None else [int(i) for i in indices]
        chunks = [order[i : i + size] for i in range(0, len(order), size)]
        pool = ThreadPoolExecutor(_THREADS)
        # One batch is prepared ahead while the caller runs the network on the one before.
        ahead: deque[list[Future[FloatArray]]] = deque()
        try:
            for chunk in chunks:
                ahead.append([pool.submit(self._checked, i, variant) for i in chunk])
                if len(ahead) > 1:
                    yield np.stack([f.result() for f in ahead.popleft()])
            while ahead:
                yield np.stack([f.result() for f in ahead.popleft()])
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _checked(self, index: int, variant: Sequence[int] | None) -> FloatArray:
        if variant is None or self._vary is None:
            values = self._load(index)
        else:
            values = self._vary(index, np.random.default_rng((*variant, index)))
        if values.shape != self.shape:
            raise DataError(
                f"image {index} has shape {values.shape}, the model takes {self.shape}; prepare all "
                "images alike"
            )
        if not np.isfinite(values).all():
            raise DataError(f"image {index} holds values that are NaN or infinite")
        return values


class LabelledImages:
    """Network inputs with the numbers of their classes.

    Parameters
    ----------
    images : CalibrationImages
    labels : ndarray of shape (n,), int64
    """

    def __init__(self, images: CalibrationImages, labels: NDArray[np.int64]) -> None:
        self.images = images
        self.labels = labels

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.images.shape

    def batches(
        self, size: int, indices: Indices | None = None
    ) -> Iterator[tuple[FloatArray, NDArray[np.int64]]]:
        """Batches of images as `CalibrationImages.batches`, each with its labels."""
        order = np.arange(len(self)) if indices is None else np.asarray(indices, np.int64)
        start = 0
        for batch in self.images.batches(size, order):
            yield batch, self.labels[order[start : start + len(batch)]]
            start += len(batch)


def load_calibration(
    source: Any,
    preprocessing: Preprocessing | None,
    input_shape: Sequence[int],
    limit: int | None = None,
) -> CalibrationImages:
    """Calibration images from wherever they are; nothing is decoded yet.

    Parameters
    ----------
    source : path, ndarray, iterable of ndarray or CalibrationImages
        A folder of images, searched with its subfolders and sorted by name; an ``.npy`` file; an ``.npz``
        file with one array, or one named ``images``; or arrays, one per image or batch. Floats are
        inputs as the network takes them; uint8 are pixels, which `preprocessing` prepares.
    preprocessing : Preprocessing or None
        Needed for image files and uint8 pixels.
    input_shape : sequence of int
        Of the network's input, (N, H, W, C).
    limit : int, optional
        The first `limit` images only.

    Raises
    ------
    DataError
    """
    shape = tuple(int(n) for n in input_shape)[1:]
    if isinstance(source, LabelledImages):
        source = source.images
    if isinstance(source, CalibrationImages):
        return _limited(_same_shape(source, shape), limit)
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if path.is_dir():
            return _from_files(images_below(path), preprocessing, shape, limit)
        source = array_of(path, "images")
    if isinstance(source, np.ndarray):
        return _from_arrays([source], preprocessing, shape, limit)
    if isinstance(source, (bytes, dict)) or not isinstance(source, Iterable):
        raise DataError(
            "calibration: expected a folder of images, an .npy or .npz file, an array, or an iterable of "
            f"arrays, got {type(source).__name__}"
        )
    return _from_arrays(_as_arrays(source, limit), preprocessing, shape, limit)


def load_labelled(
    source: Any,
    preprocessing: Preprocessing | None,
    input_shape: Sequence[int],
    limit: int | None = None,
    labels: Sequence[str] | None = None,
) -> LabelledImages:
    """Labelled images for an evaluation; nothing is decoded yet.

    Parameters
    ----------
    source : path, pair of arrays or LabelledImages
        A folder with ``labels.csv``; a ``.csv`` file with columns ``file`` (relative to it) and ``label``
        (number of the class); a folder with one subfolder per class; an ``.npz`` with ``images`` and
        ``labels``; or (images, labels).
    preprocessing : Preprocessing or None
    input_shape : sequence of int
    limit : int, optional
    labels : sequence of str, optional
        Class names that subfolders are looked up in, by the whole name or its first word (a synset);
        default: subfolders are numbered in the order of their names.

    Raises
    ------
    DataError
    """
    shape = tuple(int(n) for n in input_shape)[1:]
    if isinstance(source, LabelledImages):
        images = _limited(_same_shape(source.images, shape), limit)
        return LabelledImages(images, source.labels[: len(images)])
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if path.is_dir() and not (path / "labels.csv").is_file():
            files, numbers = class_folders(path, labels)
            return _labelled(_from_files(files, preprocessing, shape, limit), numbers)
        if path.is_dir() or path.suffix.lower() == ".csv":
            files, numbers = read_csv(path / "labels.csv" if path.is_dir() else path)
            return _labelled(_from_files(files, preprocessing, shape, limit), numbers)
        if path.suffix.lower() != ".npz":
            raise DataError(
                f"{path}: expected a folder with labels.csv or a subfolder per class, a .csv or an .npz "
                "file with labels"
            )
        source = (array_of(path, "images"), array_of(path, "labels"))
    if not (isinstance(source, tuple) and len(source) == 2):
        raise DataError(
            f"expected labelled images as a path or (images, labels), got {type(source).__name__}"
        )
    return _labelled(_from_arrays([np.asarray(source[0])], preprocessing, shape, limit), source[1])


def _labelled(images: CalibrationImages, labels: Any) -> LabelledImages:
    numbers = np.asarray(labels)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or len(numbers) < len(images):
        raise DataError(
            f"expected one whole number per image as labels, got {numbers.dtype} of shape "
            f"{numbers.shape} for {len(images)} images"
        )
    return LabelledImages(images, numbers[: len(images)].astype(np.int64))


def _limited(images: CalibrationImages, limit: int | None) -> CalibrationImages:
    if limit is None or limit >= len(images):
        return images
    return CalibrationImages(limit, images.shape, images._load, images._names, images._vary)


def _same_shape(images: CalibrationImages, shape: tuple[int, ...]) -> CalibrationImages:
    if images.shape != shape:
        raise DataError(f"the images have shape {images.shape}, the model takes {shape}")
    return images


def _from_files(
    files: list[Path],
    preprocessing: Preprocessing | None,
    shape: tuple[int, ...],
    limit: int | None,
) -> CalibrationImages:
    prepare = _fitting(preprocessing, shape, "image files")
    files = files[:limit]
    return CalibrationImages(
        len(files),
        shape,
        lambda i: prepare(files[i]),
        [str(file) for file in files],
        lambda i, rng: prepare.varied(files[i], rng),
    )


def _fitting(
    preprocessing: Preprocessing | None, shape: tuple[int, ...], what: str
) -> Preprocessing:
    if preprocessing is None:
        raise DataError(
            f"{what} need a preprocessing, and the model declares none; give one (--preprocessing), or "
            f"float arrays of shape {shape}"
        )
    if preprocessing.output_shape != shape:
        raise DataError(
            f"the preprocessing makes images of shape {preprocessing.output_shape}, the model takes "
            f"{shape}; change its size, crop or channels"
        )
    return preprocessing


def _as_arrays(source: Iterable[Any], limit: int | None) -> list[NDArray[Any]]:
    arrays: list[NDArray[Any]] = []
    for item in source:
        if limit is not None and len(arrays) >= limit:  # each is one image or more
            break
        if isinstance(item, (str, bytes, dict, tuple)):
            raise DataError(
                f"calibration: expected arrays, one per image or batch, got {type(item).__name__}; for "
                "pairs of image and label pass the images alone"
            )
        arrays.append(np.asarray(item))
    return arrays


def _from_arrays(
    arrays: list[NDArray[Any]],
    preprocessing: Preprocessing | None,
    shape: tuple[int, ...],
    limit: int | None,
) -> CalibrationImages:
    """Images of float inputs (each `shape`, or a batch of such) or of uint8 pixels."""
    if not arrays or not any(a.size for a in arrays):
        raise DataError("there are no images; give at least one, a few hundred for calibration")
    pixels = arrays[0].dtype == np.uint8
    for array in arrays:
        if (array.dtype != np.uint8) if pixels else (array.dtype.kind != "f"):
            raise DataError(
                f"expected arrays of float (network inputs) or of uint8 (pixels), got {array.dtype}"
                + (" among uint8" if pixels else "")
            )
    prepare = _fitting(preprocessing, shape, "uint8 pixels") if pixels else None
    single = [_is_single(array, pixels, shape) for array in arrays]
    # Behind the last image of each array.
    ends = list(accumulate(1 if s else len(a) for s, a in zip(single, arrays, strict=True)))
    count = ends[-1] if limit is None else min(limit, ends[-1])

    def array_of_image(i: int) -> NDArray[Any]:
        number = bisect_right(ends, i)
        array = arrays[number]
        return np.asarray(array if single[number] else array[i - ends[number]])

    if prepare is None:
        return CalibrationImages(count, shape, lambda i: np.asarray(array_of_image(i), np.float32))
    return CalibrationImages(
        count,
        shape,
        lambda i: prepare(array_of_image(i)),
        vary=lambda i, rng: prepare.varied(array_of_image(i), rng),
    )


def _is_single(array: NDArray[Any], pixels: bool, shape: tuple[int, ...]) -> bool:
    """Whether an array is one image rather than a batch.

    Pixels with three axes are one image, (H, W, C), unless the last is no number of channels.
    """
    if not pixels:
        if array.shape == shape:
            return True
        if array.shape[1:] == shape:
            return False
        raise DataError(
            f"expected inputs of shape {shape}, or batches (n, {', '.join(map(str, shape))}), got "
            f"{array.shape}"
        )
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4)):
        return True
    if array.ndim == 4 or array.ndim == 3:
        return False
    raise DataError(f"expected pixels of shape (n, H, W, C) or (H, W, C), got {array.shape}")
