"""Short, unique names for layers, from the names that converters leave on tensors."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Names of operations (with a number behind, perhaps) that end a path: 'net/conv1/BiasAdd_2'.
_OPERATIONS = {
    "add", "addv2", "biasadd", "bias_add", "conv2d", "convolution", "dequantize", "depthwise",
    "depthwiseconv2dnative", "fusedbatchnorm", "fusedbatchnormv", "identity", "matmul", "mul",
    "relu", "relu_n1_to", "reshape", "sigmoid", "softmax", "squeeze", "tanh",
    "transpose",
}  # fmt: skip
# Names of variables and of what wraps them; they say nothing about the layer either.
_VARIABLES = {
    "batch_norm", "batchnorm", "bn", "cast", "filter", "filters", "kernel", "kernels", "read",
    "readvariableop", "resource", "variable", "w", "weight", "weights", "weights_quant",
    "fakequantwithminmaxvars", "tensordot",
}  # fmt: skip
_ANONYMOUS = re.compile(
    r"(arith|tfl|std)\.|constant|const$|statefulpartitionedcall|partitionedcall|serving_default|"
    r"unnamed|^\d*$"
)


def layer_names(candidates: Sequence[Sequence[str]]) -> list[str]:
    """One name a layer.

    Parameters
    ----------
    candidates : sequence of sequences of str
        Tensor names of each layer, the most telling first (weights, then output).

    Returns
    -------
    list of str
        The shortest end of the layer's path of scopes that no other layer's path ends with; a
        number is appended where two paths are equal.
    """
    paths = _without_keras3_numbers([_path(names) for names in candidates])
    taken: set[str] = set()
    result = []
    for path in paths:
        length = 1
        while length < len(path) and sum(p[-length:] == path[-length:] for p in paths) > 1:
            length += 1
        base = name = "/".join(path[-length:])
        count = 1
        while name in taken:
            count += 1
            name = f"{base}_{count}"
        taken.add(name)
        result.append(name)
    return result


def _path(names: Sequence[str]) -> list[str]:
    """Scopes of the first name that tells something, else of the last one."""
    path = ["layer"]
    for name in names:
        path = _scopes(name)
        if len(path) > 1 or not (_anonymous(path[0]) or _is_operation(path[0])):
            return path
    return path


def _scopes(name: str) -> list[str]:
    """'net/conv1/Relu;net/conv1/BiasAdd' to ['net', 'conv1']."""
    parts = [p.split(":")[0] for p in name.split(";")[0].split("/") if p.split(":")[0]]
    if len(parts) > 1 and _is_operation(parts[-1]):
        parts.pop()
    # Only one operation: 'conv2d_1' in 'net/conv2d_1/Relu' is how Keras names the layer.
    while len(parts) > 1 and parts[-1].lower() in _VARIABLES:
        parts.pop()
    return parts or ["layer"]


def _is_operation(part: str) -> bool:
    name = part.lower()
    return name.rstrip("_0123456789") in _OPERATIONS or name in _VARIABLES


def _anonymous(part: str) -> bool:
    return _ANONYMOUS.search(part.lower()) is not None


def _without_keras3_numbers(paths: list[list[str]]) -> list[list[str]]:
    """Undo Keras 3's export, which numbers every scope anew: 'functional_1/conv1_1' is conv1."""
    deep = [path for path in paths if len(path) > 1]
    if not deep or not all(path[0].endswith("_1") for path in deep):
        return paths
    return [
        path if len(path) == 1 else [re.sub(r"(?<=.)_\d+$", "", part) for part in path]
        for path in paths
    ]
