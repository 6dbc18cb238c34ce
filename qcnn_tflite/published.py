"""What Wu et al. (CVPR 2016) print for the networks of their paper, to be shown beside ours."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """Figures of Q-CNN with error correction, fully-connected layers at d=4 K=32.

    Parameters
    ----------
    speedup : float
        Theoretical.
    compression : float
        As printed; it is not the quotient of the sizes that the paper prints.
    """

    speedup: float
    compression: float


# The speed-ups agree with the formulas to 1 % (tests/test_published_figures.py). The compressions are cited
# without the paper at hand; CaffeNet, of the same shapes, has AlexNet's.
PAPER = {
    "alexnet": Published(4.15, 18.76),
    "caffenet": Published(4.15, 18.76),
    "cnn_s": Published(5.78, 20.16),
    "vgg16": Published(4.06, 20.34),
}


def paper_notes(model: str, config: str) -> list[str]:
    """A note for the report of a network of the paper, converted with its preset; else none."""
    published = PAPER.get(model)
    if published is None or config != "paper":
        return []
    note = (
        f"the paper prints a theoretical speed-up of {published.speedup:.2f}x and a compression of "
        f"{published.compression:.2f}x for this network"
    )
    return [note]
