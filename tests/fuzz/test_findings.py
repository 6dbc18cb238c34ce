"""What fuzzing and reading found: each was a crash, an explosion, or an error that was no sentence."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

from qcnn_tflite.calibration.images import load_calibration
from qcnn_tflite.errors import DataError, ModelError
from qcnn_tflite.graph import decode_options, read_metadata, read_model
from qcnn_tflite.graph.ops import FC_KEYS
from qcnn_tflite.importers import klaus
from qcnn_tflite.models.readers.caffemodel import Caffemodel
from qcnn_tflite.models.readers.hdf5 import Hdf5File
from qcnn_tflite.models.readers.npz import NpzFile
from qcnn_tflite.models.readers.tfjs import TfjsModel
from qcnn_tflite.models.readers.torch_state import TorchState


def array_bytes(count: int) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<f4", "fortran_order": False, "shape": (count,)}
    )
    return stream.getvalue()


def bomb(path: Path, name: str) -> Path:
    """100 kB that unpack to 100 MB of zeros."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(name, "w") as file,
    ):
        file.write(array_bytes(25 << 20))
        for _ in range(100):
            file.write(bytes(1 << 20))
    return path


def test_archives_that_unpack_to_a_thousand_times_their_size(tmp_path: Path) -> None:
    path = bomb(tmp_path / "images.npz", "images.npy")
    with pytest.raises(DataError, match="expected at most 200 times as much"):
        load_calibration(path, None, (1, 4, 4, 1))
    with pytest.raises(ModelError, match="expected at most 200 times as much"):
        NpzFile(path)["images"]
    path = bomb(tmp_path / "a.keras", "model.weights.h5")
    with pytest.raises(ModelError, match="expected at most 200 times as much"):
        Hdf5File(path)


def test_an_encrypted_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=np.zeros(3))
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(mark) + offset] |= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match="cannot be read"):
        NpzFile(path)["a"]
    with pytest.raises(DataError, match="is not an array file"):
        load_calibration(path, None, (1, 3))


def test_a_dataset_that_says_more_than_it_holds(tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("conv/kernel", (1 << 20, 1 << 12), "f4", chunks=(1024, 1024))
    assert path.stat().st_size < 10000
    with pytest.raises(ModelError, match="expected at most"):
        Hdf5File(path)["conv/kernel"]


@pytest.mark.parametrize("header", [b"(", b"{'descr': '<f4',\n", b"{'shape': ((),", b"\\"])
def test_a_header_of_an_array_that_is_no_python(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "palette.npy"
    path.write_bytes(b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header)
    codes = tmp_path / "layer-00.png"
    codes.write_bytes(klaus._png(np.zeros((2, 3), np.uint8)))
    with pytest.raises(ModelError, match=r"is not an \.npy"):
        klaus.read_layer(codes, path)
    with pytest.raises(DataError, match="is not an array file"):
        load_calibration(path, None, (1, 3))


def test_a_pickle_that_asks_for_a_huge_memo(tmp_path: Path) -> None:
    # PROTO 2, NONE, LONG_BINPUT with 2^31 - 1: the C unpickler would set 32 GB to zero.
    data = b"\x80\x02Nr\xff\xff\xff\x7f."
    for name, content in (("stream.pth", data), ("zip.pth", None)):
        path = tmp_path / name
        if content is None:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("archive/data.pkl", data)
        else:
            path.write_bytes(content)
        with pytest.raises(ModelError, match="memo of 2,147,483,647 entries"):
            TorchState(path)


def test_a_pickle_whose_key_takes_forever_to_hash(tmp_path: Path) -> None:
    # PROTO 2, EMPTY_DICT, EMPTY_TUPLE, then sixty times DUP and TUPLE2, and that is a key.
    path = tmp_path / "a.pth"
    path.write_bytes(b"\x80\x02})" + b"2\x86" * 60 + b"Ns.")
    with pytest.raises(ModelError, match="tuples nested without end"):
        TorchState(path)


def test_a_stream_of_torch_without_its_storages(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    head = [pickle.dumps(n, 2) for n in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    path.write_bytes(b"".join(head) + pickle.dumps({}, 2) + pickle.dumps(["0"], 2))
    with pytest.raises(ModelError, match="not a state dict of torch"):
        TorchState(path)


def test_a_blob_of_more_dimensions_than_numpy_knows(tmp_path: Path) -> None:
    shape = b"\x0a\x46" + b"\1" * 70
    blob = b"\x3a" + bytes([len(shape)]) + shape + b"\x2a\x04" + bytes(4)
    layer = b"\x0a\1a" + b"\x3a" + bytes([len(blob)]) + blob
    path = tmp_path / "a.caffemodel"
    path.write_bytes(b"\xa2\x06" + bytes([len(layer)]) + layer)
    with pytest.raises(ModelError, match="blob a/0 cannot be read"):
        Caffemodel(path)["a/0"]


def test_a_manifest_with_an_endless_shape(tmp_path: Path) -> None:
    (tmp_path / "shard").write_bytes(bytes(8))
    path = tmp_path / "model.json"
    path.write_text(
        '{"weightsManifest": [{"paths": ["shard"], "weights": '
        '[{"name": "a", "shape": [1e999], "dtype": "float32"}]}]}'
    )
    with pytest.raises(ModelError, match=r"not a TensorFlow\.js model"):
        TfjsModel(path)


def test_metadata_with_a_number_of_5000_digits() -> None:
    model = schema.ModelT()
    model.version = 3
    model.operatorCodes, model.subgraphs = [], [schema.SubGraphT()]
    entry, buffer = schema.MetadataT(), schema.BufferT()
    entry.name, entry.buffer = "qcnn_tflite", 0
    buffer.data = np.frombuffer(b'{"format": ' + b"1" * 5000 + b"}", np.uint8)
    model.buffers, model.metadata = [buffer], [entry]
    builder = flatbuffers.Builder(1 << 14)
    builder.Finish(model.Pack(builder), b"TFL3")
    with pytest.raises(ModelError, match="metadata is not JSON"):
        read_metadata(read_model(bytes(builder.Output())))


def test_subgraphs_that_share_their_tensors() -> None:
    """3,000 times the same 3,000 tensors in 24 kB: unpacked, nine million Python objects."""
    builder = flatbuffers.Builder(1 << 16)
    builder.StartObject(4)
    tensor = builder.EndObject()
    builder.StartVector(4, 3000, 4)
    for _ in range(3000):
        builder.PrependUOffsetTRelative(tensor)
    tensors = builder.EndVector()
    builder.StartObject(5)
    builder.PrependUOffsetTRelativeSlot(0, tensors, 0)
    graph = builder.EndObject()
    builder.StartVector(4, 3000, 4)
    for _ in range(3000):
        builder.PrependUOffsetTRelative(graph)
    graphs = builder.EndVector()
    builder.StartObject(1)
    buffer = builder.EndObject()
    builder.StartVector(4, 1, 4)
    builder.PrependUOffsetTRelative(buffer)
    buffers = builder.EndVector()
    builder.StartObject(5)
    builder.PrependUint32Slot(0, 3, 0)
    builder.PrependUOffsetTRelativeSlot(2, graphs, 0)
    builder.PrependUOffsetTRelativeSlot(4, buffers, 0)
    builder.Finish(builder.EndObject(), b"TFL3")
    with pytest.raises(ModelError, match="tables repeat more than they can"):
        read_model(bytes(builder.Output()))


def test_options_of_endless_entries() -> None:
    builder = flexbuffers.Builder()
    with builder.Map():
        for i in range(300):
            builder.Key(f"x_{i}")
            builder.Int(1)
    with pytest.raises(ModelError, match="expected at most 256"):
        decode_options(bytes(builder.Finish()), FC_KEYS)
    with pytest.raises(ModelError, match="expected at most 65,536"):
        decode_options(bytes(1 << 17), FC_KEYS)


def test_unsigned_options_that_no_kernel_reads() -> None:
    # The kernels refused it, the converter carried it on and could not write it again.
    builder = flexbuffers.Builder()
    with builder.Map():
        for key in FC_KEYS:
            builder.Key(key)
            builder.UInt(1 << 63 if key == "activation" else 1)
    with pytest.raises(ModelError, match="not an integer: activation"):
        decode_options(bytes(builder.Finish()), FC_KEYS)


def test_batches_of_images_in_several_arrays() -> None:
    arrays = [np.full((2, 2, 2, 1), 1.0), np.full((2, 2, 1), 2.0), np.full((3, 2, 2, 1), 3.0)]
    images = load_calibration(arrays, None, (1, 2, 2, 1))
    assert len(images) == 6
    assert [float(x) for b in images.batches(4) for x in b[:, 0, 0, 0]] == [1, 1, 2, 3, 3, 3]
    assert len(load_calibration(arrays, None, (1, 2, 2, 1), limit=3)) == 3
