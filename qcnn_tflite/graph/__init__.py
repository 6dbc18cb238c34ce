"""Reads, checks, rewrites and writes TensorFlow Lite flatbuffers."""

from __future__ import annotations

from .codes import code_bits, pack_codes, unpack_codes
from .layers import Layer, check_convertible, find_layers, layer_bias, layer_weights
from .metadata import read_mean_image, read_metadata
from .model import Model, read_model
from .ops import QuantizedLayer, decode_options, decode_weights, encode_options
from .qmodel import QLayer, decoded_float_model, find_q_layers
from .replacement import has_own_constants, with_constants
from .rewrite import rewrite
from .submodel import extract, live_tensors

__all__ = [
    "Layer",
    "Model",
    "QLayer",
    "QuantizedLayer",
    "check_convertible",
    "code_bits",
    "decode_options",
    "decode_weights",
    "decoded_float_model",
    "encode_options",
    "extract",
    "find_layers",
    "find_q_layers",
    "has_own_constants",
    "layer_bias",
    "layer_weights",
    "live_tensors",
    "pack_codes",
    "read_mean_image",
    "read_metadata",
    "read_model",
    "rewrite",
    "unpack_codes",
    "with_constants",
]
