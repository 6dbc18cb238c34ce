"""Broken and malicious models: each is refused with a sentence, in a process that stays alive."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flatbuffers import flexbuffers
from graph_builders import TYPES
from runtime_models import Conv, Fc, convert

from qcnn_tflite.graph import Model, decode_options, encode_options, read_model
from qcnn_tflite.graph.ops import CONV_KEYS, FC_KEYS

BACKENDS = ["ai_edge_litert", "tensorflow"]
CODEBOOKS, CODES, BIAS, SCALE = 1, 2, 3, 4
Change = Callable[[Model], None]


def run_models(paths: Sequence[Path], backend: str) -> dict[str, dict[str, str]]:
    """What became of each model, by file name; a crash is an answer too."""
    results: dict[str, dict[str, str]] = {}
    left = list(paths)
    while left:
        done = subprocess.run(
            [sys.executable, Path(__file__).with_name("run_models.py"), backend, *left],
            capture_output=True,
            text=True,
            check=False,
        )
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        results.update({Path(line["path"]).stem: line for line in lines})
        left = left[len(lines) :]
        if done.returncode:
            assert left, done.stderr
            results[left.pop(0).stem] = {
                "error": "crash",
                "message": f"exit code {done.returncode}: {done.stderr[-1000:]}",
            }
    return results


def options(**values: Any) -> Change:
    """Options changed; None leaves one out."""

    def change(model: Model) -> None:
        operator = model.subgraph.operators[0]
        raw = bytes(operator.customOptions)
        found = decode_options(raw, CONV_KEYS if b"kernel_h" in raw else FC_KEYS)
        changed = {k: v for k, v in {**found, **values}.items() if v is not None}
        operator.customOptions = np.frombuffer(encode_options(changed), np.uint8)

    return change


def raw_options(data: bytes | None) -> Change:
    def change(model: Model) -> None:
        model.subgraph.operators[0].customOptions = (
            None if data is None else np.frombuffer(data, np.uint8)
        )

    return change


def flexbuffer(value: Any) -> bytes:
    builder = flexbuffers.Builder()
    builder.Add(value)
    return bytes(builder.Finish())


def one_wrong(key: str, value: Any) -> Change:
    """One option of another type than integer."""

    def change(model: Model) -> None:
        operator = model.subgraph.operators[0]
        found: dict[str, Any] = dict(decode_options(bytes(operator.customOptions), CONV_KEYS))
        raw_options(flexbuffer({**found, key: value}))(model)

    return change


def constant(position: int, edit: Callable[[Any], Any], dtype: str | None = None) -> Change:
    """A constant's values (or its type or shape, or with None its data) replaced."""

    def change(model: Model) -> None:
        index = int(model.subgraph.operators[0].inputs[position])
        values = model.constant(index)
        assert values is not None
        changed = edit(values.copy())
        tensor = model.subgraph.tensors[index]
        buffer = model.schema.buffers[tensor.buffer]
        if changed is None:
            buffer.data = None
            return
        tensor.shape = np.array(changed.shape, np.int32)
        tensor.type = TYPES[dtype or str(changed.dtype)]
        buffer.data = np.frombuffer(np.ascontiguousarray(changed).tobytes(), np.uint8)

    return change


def shape(position: int, dims: Sequence[int]) -> Change:
    """A constant's shape, its data as before."""

    def change(model: Model) -> None:
        index = int(model.subgraph.operators[0].inputs[position])
        model.subgraph.tensors[index].shape = np.array(dims, np.int32)

    return change


def put(index: Any, value: Any) -> Callable[[Any], Any]:
    def edit(values: Any) -> Any:
        values[index] = value
        return values

    return edit


def scales(values: Sequence[float] | None, zero_point: int = 0) -> Change:
    def change(model: Model) -> None:
        index = int(model.subgraph.operators[0].inputs[CODEBOOKS])
        tensor = model.subgraph.tensors[index]
        if values is None:
            tensor.quantization = None
            return
        tensor.quantization.scale = np.array(values, np.float32)
        tensor.quantization.zeroPoint = np.full(len(values), zero_point, np.int64)

    return change


def inputs_of_op(edit: Callable[[list[int]], list[int]]) -> Change:
    def change(model: Model) -> None:
        operator = model.subgraph.operators[0]
        operator.inputs = np.array(edit(list(operator.inputs)), np.int32)

    return change


def input_tensor(dims: Sequence[int], dtype: str = "float32") -> Change:
    def change(model: Model) -> None:
        tensor = model.subgraph.tensors[int(model.subgraph.inputs[0])]
        tensor.shape, tensor.type = np.array(dims, np.int32), TYPES[dtype]

    return change


def output_type(dtype: str) -> Change:
    def change(model: Model) -> None:
        tensor = model.subgraph.tensors[int(model.subgraph.outputs[0])]
        tensor.type = TYPES[dtype]

    return change


# Every constant of both: K=11 of 16 that 4 bits can say, C_in=6 in two subspaces of d=4, and in
# each row of codes 5*3*3*4 bits, four of them behind the last code.
MODELS = {
    "conv": convert(Conv(outputs=5).add, d=4, K=11, scale=True),
    "int8": convert(Conv(outputs=5).add, d=4, K=11, dtype="int8"),
    "fc": convert(Fc(with_bias=True).add, d=4, K=11, scale=True),
}
HUGE = 1 << 20

BROKEN: dict[str, tuple[str, Change, str]] = {
    "no options": ("conv", raw_options(None), "not a FlexBuffers map"),
    "options of no kind": ("conv", raw_options(b"\xff" * 40), "FlexBuffers"),
    "options are a list": ("conv", raw_options(flexbuffer([1, 2, 3])), "not a FlexBuffers map"),
    "options are empty": ("conv", raw_options(flexbuffer({})), "version"),
    "a text as option": ("conv", one_wrong("bits", "4"), "bits|integer"),
    "a float as option": ("conv", one_wrong("groups", 1.0), "groups|integer"),
    "a map as option": ("conv", one_wrong("padding", {"a": 1}), "padding|integer"),
    "unknown option": ("conv", options(colour=1), "does not know; update qcnn_tflite"),
    "a later version": ("conv", options(version=2), "has version 2, this library reads version 1"),
    "a later version's options": (
        "fc",
        raw_options(flexbuffer({"version": 7, "other": 1})),
        "has version 7",
    ),
    **{f"no {key}": ("conv", options(**{key: None}), key) for key in CONV_KEYS},
    **{f"{key} -1": ("conv", options(**{key: -1}), key) for key in CONV_KEYS},
    **{f"{key} 2^31": ("conv", options(**{key: 2**31}), key) for key in CONV_KEYS},
    **{f"{key} 2^63-1": ("conv", options(**{key: 2**63 - 1}), key) for key in CONV_KEYS},
    **{f"fc no {key}": ("fc", options(**{key: None}), key) for key in FC_KEYS},
    **{f"fc {key} -1": ("fc", options(**{key: -1}), key) for key in FC_KEYS},
    **{f"fc {key} 2^62": ("fc", options(**{key: 2**62}), key) for key in FC_KEYS},
    **{
        f"{key} 0": ("conv", options(**{key: 0}), f"option {key} is 0")
        for key in CONV_KEYS
        if not key.startswith(("pad", "activation", "version"))
    },
    "fewer bits": ("conv", options(bits=3), "11 codewords do not fit"),
    "more bits": ("conv", options(bits=5), "11 codewords do not fit"),
    "nine bits": ("conv", options(bits=9), "option bits is 9"),
    "tanh": ("conv", options(activation=4), "option activation is 4"),
    "unknown padding": ("conv", options(padding=3), "option padding is 3"),
    "pads with VALID": ("conv", options(pad_left=1), "pad"),
    "groups that do not divide": ("conv", options(groups=4), "groups"),
    "keep_num_dims 2": ("fc", options(keep_num_dims=2), "option keep_num_dims is 2"),
    "more input channels": ("conv", options(in_channels=7), r"input \[N,H,W,7\]"),
    "many input channels": ("conv", options(in_channels=HUGE), "codebooks|codes"),
    "more outputs": ("conv", options(out_channels=6), "codes of shape"),
    "every size huge": (
        "conv",
        options(in_channels=HUGE, out_channels=HUGE, kernel_h=HUGE, kernel_w=HUGE),
        "too large|codebooks|codes",
    ),
    "reach beyond the input": ("conv", options(dilation_h=HUGE), "does not fit into an input"),
    "pads beyond any size": (
        "conv",
        options(padding=2, pad_top=HUGE, pad_bottom=HUGE, pad_left=HUGE, pad_right=HUGE),
        "too large",
    ),
    "pads beyond memory": (
        "conv",
        options(padding=2, pad_top=1 << 16, pad_bottom=1 << 16, pad_left=1 << 16, pad_right=1 << 16),
        "too large",
    ),
    "a row that does not fit": ("fc", options(in_channels=15), "15 values a row"),
    "codebooks of another count": (
        "conv",
        constant(CODEBOOKS, lambda c: np.concatenate([c, c[:1]])),
        "codebooks, got 3",
    ),
    "codebooks of rank 2": ("conv", constant(CODEBOOKS, lambda c: c.reshape(-1, 4)), "rank 3, got 2"),
    "codebooks of int32": (
        "conv",
        constant(CODEBOOKS, lambda c: c.view(np.int32)),
        "not float32, float16 or int8",
    ),
    "300 codewords": (
        "conv",
        constant(CODEBOOKS, lambda c: np.resize(c, (2, 300, 4))),
        "300 codewords do not fit",
    ),
    "no codewords": ("conv", constant(CODEBOOKS, lambda c: c[:, :0]), "."),
    "d=0": ("conv", constant(CODEBOOKS, lambda c: c[..., :0]), "."),
    "NaN codeword": ("conv", constant(CODEBOOKS, put((0, 3, 1), np.nan)), "codeword is NaN"),
    "infinite codeword": ("fc", constant(CODEBOOKS, put((1, 0, 0), -np.inf)), "codeword is NaN"),
    "infinite half codeword": (
        "conv",
        constant(CODEBOOKS, lambda c: np.full(c.shape, np.inf, np.float16)),
        "codeword is NaN",
    ),
    "codebooks larger than their data": ("conv", shape(CODEBOOKS, (2, 11, 400)), "."),
    "codebooks beyond any size": ("conv", shape(CODEBOOKS, (1 << 16, 1 << 16, 1 << 16)), "."),
    "codebooks of negative size": ("conv", shape(CODEBOOKS, (-2, -11, 4)), "."),
    "codebooks missing": ("conv", inputs_of_op(lambda i: [i[0], -1, *i[2:]]), "."),
    "codebooks not constant": ("conv", constant(CODEBOOKS, lambda c: None), "not a constant"),
    "a code too large": ("conv", constant(CODES, put((0, 0), 0x0B)), "subspace 0 points behind"),
    "a code too large in the last subspace": (
        "conv",
        constant(CODES, put((1, 7), 0xF0)),
        "subspace 1 points behind",
    ),
    "all codes 255": ("fc", constant(CODES, put(..., 255)), "points behind its codebook"),
    "a set tail bit": ("conv", constant(CODES, put((1, -1), 0x10)), "behind the last code is set"),
    "codes of int8": ("conv", constant(CODES, lambda c: c.view(np.int8)), "expected uint8 codes"),
    "codes of a subspace too few": ("conv", constant(CODES, lambda c: c[:1]), "codes of shape"),
    "codes a byte short": ("conv", constant(CODES, lambda c: c[:, :-1]), "codes of shape"),
    "codes a byte long": (
        "conv",
        constant(CODES, lambda c: np.pad(c, ((0, 0), (0, 1)))),
        "codes of shape",
    ),
    "codes of rank 1": ("fc", constant(CODES, np.ravel), "codes of rank 2, got 1"),
    "codes not constant": ("conv", constant(CODES, lambda c: None), "not a constant"),
    "codes missing": ("fc", inputs_of_op(lambda i: [*i[:2], -1, *i[3:]]), "."),
    "bias too short": ("conv", constant(BIAS, lambda b: b[1:]), "5 float32 values of bias"),
    "bias of rank 2": ("conv", constant(BIAS, lambda b: b[None]), "bias of rank 1, got 2"),
    "bias of int32": ("fc", constant(BIAS, lambda b: b.view(np.int32)), "float32 values of bias"),
    "bias NaN": ("conv", constant(BIAS, put(2, np.nan)), "bias is NaN or infinite"),
    "bias not constant": ("conv", constant(BIAS, lambda b: None), "not a constant"),
    "scale too long": ("fc", constant(SCALE, lambda s: np.append(s, s)), "9 float32 values of"),
    "scale infinite": ("conv", constant(SCALE, put(0, np.inf)), "scale is NaN or infinite"),
    "int8 without scales": ("int8", scales(None), "positive scale"),
    "int8 with a scale too few": ("int8", scales([0.1]), "positive scale"),
    "int8 with a scale of 0": ("int8", scales([0.1, 0]), "positive scale"),
    "int8 with a negative scale": ("int8", scales([-0.1, 0.1]), "positive scale"),
    "int8 with a NaN scale": ("int8", scales([np.nan, 0.1]), "positive scale"),
    "int8 with a zero point": ("int8", scales([0.1, 0.1], 3), "zero point of 0"),
    "four inputs": ("conv", inputs_of_op(lambda i: i[:4]), "expected five inputs"),
    "six inputs": ("conv", inputs_of_op(lambda i: [*i, i[3]]), "expected five inputs"),
    "no input": ("conv", inputs_of_op(lambda i: [-1, *i[1:]]), "."),
    "an input that does not exist": ("conv", inputs_of_op(lambda i: [*i[:3], 99, i[4]]), "."),
    "inputs in another order": ("conv", inputs_of_op(lambda i: [i[0], i[2], i[1], *i[3:]]), "."),
    "input of another rank": ("conv", input_tensor((1, 72, 6)), "got rank 3"),
    "input of other channels": ("conv", input_tensor((1, 9, 8, 5)), "with 5 channels"),
    "input smaller than the kernel": ("conv", input_tensor((1, 2, 8, 6)), "does not fit into"),
    "input of int32": ("conv", input_tensor((1, 9, 8, 6), "int32"), "must be float32"),
    "output of int8": ("fc", output_type("int8"), "must be float32"),
    "fc input of other width": ("fc", input_tensor((1, 13)), "14 values a row, got 13"),
}  # fmt: skip

# Unusual, and fine.
FINE: dict[str, tuple[str, Change]] = {
    "as written": ("conv", options()),
    "int8 as written": ("int8", options()),
    "fc as written": ("fc", options()),
    "an annotation": ("conv", options(x_note=7)),
    "stride over the input": ("conv", options(stride_h=HUGE, stride_w=HUGE)),
    "rows of an image": ("fc", input_tensor((2, 3, 7, 4))),
}


def broken(name: str, change: Change) -> bytes:
    model = read_model(MODELS[name])
    change(model)
    return model.to_bytes()


@pytest.fixture(scope="session", params=BACKENDS)
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, str]]:
    folder = tmp_path_factory.mktemp("hostile")
    paths = []
    for case, (name, change, *_) in {**BROKEN, **FINE}.items():
        path = folder / f"{case.replace(' ', '_')}.tflite"
        path.write_bytes(broken(name, change))
        paths.append(path)
    return run_models(paths, request.param)


@pytest.mark.parametrize("case", BROKEN)
def test_broken_model_is_refused(outcomes: dict[str, dict[str, str]], case: str) -> None:
    found = outcomes[case.replace(" ", "_")]
    assert found["error"] == "ModelError", found
    assert re.search(BROKEN[case][2], found["message"]), found["message"]


@pytest.mark.parametrize("case", FINE)
def test_unusual_model_runs(outcomes: dict[str, dict[str, str]], case: str) -> None:
    found = outcomes[case.replace(" ", "_")]
    assert not found["error"], found


def test_random_damage_crashes_nothing(tmp_path: Path) -> None:
    """Bytes of options and constants, changed at random: refused or run, never a crash."""
    random = np.random.default_rng(0)
    paths = []
    for i in range(300):
        model = read_model(MODELS[["conv", "int8", "fc"][i % 3]])
        operator = model.subgraph.operators[0]
        raw = np.array(operator.customOptions)
        for _ in range(1 + i % 4):
            raw[random.integers(len(raw))] ^= np.uint8(1 << random.integers(8))
        operator.customOptions = raw
        for position in (CODEBOOKS, CODES):
            tensor = model.subgraph.tensors[int(operator.inputs[position])]
            if i % 2:
                tensor.shape = random.integers(-2, 12, len(tensor.shape)).astype(np.int32)
        paths.append(tmp_path / f"damaged{i}.tflite")
        paths[-1].write_bytes(model.to_bytes())
    results = run_models(paths, "ai_edge_litert")
    assert len(results) == len(paths)
    crashes = {name: found for name, found in results.items() if found["error"] == "crash"}
    assert not crashes
    assert {found["error"] for found in results.values()} <= {"", "ModelError"}
