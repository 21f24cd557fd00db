"""Operations of TensorFlow's graphs: what cannot be taken over says so. What can is in ``tests/saving/golden``."""

import base64
import json

import numpy as np
import pytest

from convia import models


def graph(op, attributes=None, constants=None, inputs=1):
    """The JSON of a graph of one operation, as tf.keras 2.2 wrote it."""
    source = {"class_name": "InputLayer", "name": "a", "inbound_nodes": []}
    source["config"] = {"name": "a", "batch_input_shape": [None, 2, 3], "dtype": "float32"}
    node = {"name": "y", "op": op, "input": ["a"], "attr": attributes or {}}
    config = {"name": "y", "node_def": node, "constants": constants or {}}
    layer = {"class_name": "TensorFlowOpLayer", "name": "tf_op_layer_y", "config": config}
    layer["inbound_nodes"] = [[["a", 0, 0, {}]] * inputs]
    ends = {"input_layers": [["a", 0, 0]], "output_layers": [["tf_op_layer_y", 0, 0]]}
    config = {"name": "m", "layers": [source, layer], **ends}
    return json.dumps({"class_name": "Model", "config": config, "keras_version": "2.2.4-tf", "backend": "tensorflow"})


def text(value):
    return {"s": base64.b64encode(value.encode()).decode()}


X = np.arange(12, dtype="float32").reshape(2, 2, 3) - 4
OPERATIONS = [
    ("SquaredDifference", {}, {"1": [1.0, 2.0, 3.0]}, lambda x: (x - [1, 2, 3]) ** 2),
    ("Sub", {}, {"0": 1.5}, lambda x: 1.5 - x),
    ("Sum", {"keep_dims": {"b": True}}, {"1": [1]}, lambda x: x.sum(1, keepdims=True)),
    ("PadV2", {}, {"1": [[0, 0], [1, 0], [0, 0]], "2": 7.0}, lambda x: np.pad(x, ((0, 0), (1, 0), (0, 0)), constant_values=7)),
    ("Einsum", {"equation": text("bij->bji"), "N": {"i": "1"}}, {}, lambda x: x.transpose(0, 2, 1)),
    ("Cumsum", {"exclusive": {"b": True}, "reverse": {"b": False}}, {"1": 1}, lambda x: np.stack([0 * x[:, 0], x[:, 0]], 1)),
    ("Squeeze", {"squeeze_dims": {"list": {}}}, {}, lambda x: x),
    ("Cast", {"DstT": {"type": "DT_INT32"}}, {}, lambda x: x.astype("int32")),
    ("ClipByValue", {}, {"1": -1.0, "2": 2.0}, lambda x: x.clip(-1, 2)),
]  # fmt: skip


@pytest.mark.parametrize(("op", "attributes", "constants", "function"), OPERATIONS, ids=[row[0] for row in OPERATIONS])
def test_operations(op, attributes, constants, function):
    model = models.model_from_json(graph(op, attributes, constants))
    np.testing.assert_allclose(model.predict(X, verbose=0), function(X), rtol=1e-6)


@pytest.mark.parametrize(
    ("op", "attributes", "constants", "message"),
    [
        ("Relux", {}, {}, r"load_model, 'tf_op_layer_y': received TensorFlow's operation Relux; .*Relu"),
        ("ResizeBilinear", {}, {"1": [4, 4]}, r"received corners or edges of pixels as the places to read at"),
        (
            "DepthToSpace",
            {},
            {},
            r"the operation DepthToSpace with 1 inputs, \[\] \('block_size'\); expected inputs that",
        ),
        ("Reshape", {}, {}, r"the operation Reshape with 1 inputs"),
    ],
)
def test_what_cannot_be_taken_over(op, attributes, constants, message):
    with pytest.raises(ValueError, match=message):
        models.model_from_json(graph(op, attributes, constants))
