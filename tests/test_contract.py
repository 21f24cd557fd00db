"""The contract of every layer in the registry: configs, shapes, types, weights, training, state. A layer without an
example here fails the test, so no new layer goes unproved."""

import numpy as np
import pytest
import torch

import convia
from convia import layers, registry, tree
from convia.applications.convnext import LayerScale, StochasticDepth
from convia.applications.inception_resnet_v2 import CustomScaleLayer
from convia.layer import Layer
from convia.symbolic import KerasTensor

IMAGE, SEQUENCE, VECTOR, VOLUME = (3, 8, 6, 4), (3, 8, 4), (3, 6), (3, 4, 6, 4, 2)
BY_RANK = {1: SEQUENCE, 2: IMAGE, 3: VOLUME}
BASES = {"Layer", "InputLayer", "Wrapper", "RNN", "Augmentation", "ImageLayer"}  # called through their subclasses

# layer → (arguments, shape of the input or a list of shapes)
EXAMPLES = {
    "Activation": ({"activation": "relu"}, VECTOR),
    "ActivityRegularization": ({"l2": 0.1}, VECTOR),
    "AdditiveAttention": ({}, [SEQUENCE, SEQUENCE]),
    "Attention": ({}, [SEQUENCE, SEQUENCE]),
    "Bidirectional": ({"layer": lambda: layers.SimpleRNN(3)}, SEQUENCE),
    "CenterCrop": ({"height": 4, "width": 4}, IMAGE),
    "Dense": ({"units": 5}, VECTOR),
    "Dot": ({"axes": 1}, [VECTOR, VECTOR]),
    "EinsumDense": ({"equation": "ab,bc->ac", "output_shape": 5}, VECTOR),
    "Embedding": ({"input_dim": 10, "output_dim": 4}, VECTOR),
    "ReversibleEmbedding": ({"input_dim": 10, "output_dim": 4}, VECTOR),
    "Flatten": ({}, IMAGE),
    "GroupQueryAttention": ({"head_dim": 2, "num_query_heads": 4, "num_key_value_heads": 2}, None),
    "GRUCell": ({"units": 3}, None),
    "LSTMCell": ({"units": 3}, None),
    "SimpleRNNCell": ({"units": 3}, None),
    "StackedRNNCells": ({"cells": lambda: [layers.GRUCell(3)]}, None),
    "GRU": ({"units": 3}, SEQUENCE),
    "LSTM": ({"units": 3, "return_sequences": True}, SEQUENCE),
    "SimpleRNN": ({"units": 3}, SEQUENCE),
    "Lambda": ({"function": convia.activations.relu}, VECTOR),
    "Masking": ({}, SEQUENCE),
    "MelSpectrogram": ({"fft_length": 16, "sequence_stride": 8, "sampling_rate": 100, "num_mel_bins": 4}, (3, 64)),
    "STFTSpectrogram": ({"frame_length": 16, "frame_step": 8, "fft_length": 16}, (3, 64, 1)),
    "MultiHeadAttention": ({"num_heads": 2, "key_dim": 3}, None),
    "GroupNormalization": ({"groups": 2}, IMAGE),
    "Normalization": ({"mean": 1.0, "variance": 2.0}, VECTOR),
    "Permute": ({"dims": (2, 1)}, SEQUENCE),
    "Pipeline": ({"layers": lambda: [layers.Rescaling(0.5)]}, IMAGE),
    "RandomCrop": ({"height": 4, "width": 4}, IMAGE),
    "RepeatVector": ({"n": 3}, VECTOR),
    "Rescaling": ({"scale": 0.5}, IMAGE),
    "Reshape": ({"target_shape": (3, 2)}, VECTOR),
    "Resizing": ({"height": 5, "width": 7}, IMAGE),
    "SpectralNormalization": ({"layer": lambda: layers.Dense(4)}, VECTOR),
    "TimeDistributed": ({"layer": lambda: layers.Dense(3)}, SEQUENCE),
    "CustomScaleLayer": ({"scale": 0.2}, [VECTOR, VECTOR]),
    "LayerScale": ({"init_values": 0.1, "projection_dim": 4}, IMAGE),
    "StochasticDepth": ({"drop_path_rate": 0.3}, IMAGE),
    "TorchModuleWrapper": ({"module": lambda: torch.nn.Linear(6, 2)}, VECTOR),
    **{name: ({}, [VECTOR, VECTOR]) for name in ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract")},
    **{name: ({}, VECTOR) for name in ("ELU", "Identity", "LeakyReLU", "PReLU", "ReLU", "Softmax", "BatchNormalization",
                                       "LayerNormalization", "RMSNormalization", "UnitNormalization")},
    **{name: ({"rate": 0.3}, VECTOR) for name in ("AlphaDropout", "Dropout", "GaussianDropout")},
    "GaussianNoise": ({"stddev": 0.3}, VECTOR),
    **{f"SpatialDropout{rank}D": ({"rate": 0.3}, BY_RANK[rank]) for rank in BY_RANK},
    **{f"{kind}{rank}D": (arguments, BY_RANK[rank])
       for kind, arguments in {
           "Conv": {"filters": 3, "kernel_size": 2},
           "MaxPooling": {"pool_size": 2},
           "AveragePooling": {"pool_size": 2},
           "GlobalMaxPooling": {},
           "GlobalAveragePooling": {},
           "AdaptiveAveragePooling": {"output_size": 2},
           "AdaptiveMaxPooling": {"output_size": 2},
           "Cropping": {"cropping": 1},
           "ZeroPadding": {"padding": 1},
           "UpSampling": {"size": 2},
       }.items() for rank in BY_RANK},
    **{f"Conv{rank}DTranspose": ({"filters": 3, "kernel_size": 2}, BY_RANK[rank]) for rank in BY_RANK},
    **{f"{kind}Conv{rank}D": ({"filters": 3, "kernel_size": 2} if kind == "Separable" else {"kernel_size": 2}, BY_RANK[rank])
       for kind in ("Separable", "Depthwise") for rank in (1, 2)},
    **{f"ConvLSTM{rank}D": ({"filters": 2, "kernel_size": 2}, (2, 3, *BY_RANK[rank][1:])) for rank in BY_RANK},
}  # fmt: skip
FACTORS = {"factor": 0.2}
AUGMENTATIONS = {
    "AugMix": {"value_range": (0, 1)}, "RandAugment": {"value_range": (0, 1)}, "AutoContrast": {"value_range": (0, 1)},
    "ContrastLimitedAdaptiveHistogramEqualization": {"value_range": (0, 1), "tile_grid_size": (2, 2)},
    "MaxNumBoundingBoxes": {"max_number": 2},
    "CutMix": {}, "MixUp": {}, "Equalization": {"value_range": (0, 1)}, "RandomFlip": {}, "RandomGaussianBlur": FACTORS,
    "RandomColorJitter": {"value_range": (0, 1), "brightness_factor": 0.2}, "RandomElasticTransform": FACTORS,
    "RandomErasing": {}, "RandomZoom": {"height_factor": 0.2}, "RandomTranslation": {"height_factor": 0.2, "width_factor": 0.1},
    "RandomShear": {"x_factor": 0.2}, "RandomPosterization": {"factor": 4, "value_range": (0, 1)}, "RandomPerspective": FACTORS,
    "RandomHue": {"factor": 0.2, "value_range": (0, 1)}, "RandomInvert": {"factor": 0.5, "value_range": (0, 1)},
    "Solarization": {"value_range": (0, 1)}, "RandomGrayscale": {"factor": 0.5},
    **dict.fromkeys(("RandomBrightness", "RandomContrast", "RandomRotation"), FACTORS),
    **{name: {**FACTORS, "value_range": (0, 1)} for name in ("RandomColorDegeneration", "RandomSaturation", "RandomSharpness")},
}  # fmt: skip
EXAMPLES.update({name: (arguments, (3, 8, 6, 3)) for name, arguments in AUGMENTATIONS.items()})

CLASSES = {  # those of older eras, which register when they are imported, have tests of their own
    c.__name__: c
    for c in registry.registered("keras.layers").values()
    if isinstance(c, type) and issubclass(c, Layer) and not c.__module__.startswith("convia.compat")
}
CLASSES |= {c.__name__: c for c in (CustomScaleLayer, LayerScale, StochasticDepth)}  # within published networks
NAMES = sorted(name for name in CLASSES if name not in BASES)


def make(name):
    """The example layer and its input; None for layers whose call takes more than inputs (tested with their families)."""
    arguments, shapes = EXAMPLES[name]
    layer = CLASSES[name](**{key: value() if _is_maker(key, value) else value for key, value in arguments.items()})
    if shapes is None:
        return layer, None
    if name.endswith("Embedding"):
        return layer, torch.randint(0, 10, shapes)
    return layer, [torch.randn(shape) for shape in shapes] if isinstance(shapes, list) else torch.randn(shapes)


def _is_maker(key, value):
    return callable(value) and key != "function"


def symbols(inputs):
    return tree.map_structure(lambda t: KerasTensor((None, *t.shape[1:]), convia.config.dtype_name(t.dtype)), inputs)


def test_every_layer_has_an_example():
    assert set(NAMES) <= set(EXAMPLES), sorted(set(NAMES) - set(EXAMPLES))
    assert set(EXAMPLES) <= set(NAMES), sorted(set(EXAMPLES) - set(NAMES))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "TorchModuleWrapper"])  # files hold no modules
def test_config_round_trip(name):
    layer, _ = make(name)
    config = layer.get_config()
    copy = type(layer).from_config(config)
    assert copy.get_config() == config and copy.name == layer.name
    again = registry.deserialize(registry.serialize(layer))
    assert type(again) is type(layer) and again.get_config() == config


@pytest.mark.parametrize("name", NAMES)
def test_symbolic_and_eager_calls_agree(name):
    layer, inputs = make(name)
    if inputs is None:
        pytest.skip("its call takes more than inputs")
    symbolic = [leaf for leaf in tree.flatten(layer(symbols(inputs))) if leaf is not None]
    real = [leaf for leaf in tree.flatten(layer(inputs)) if leaf is not None]
    assert layer.built and len(symbolic) == len(real)
    for expected, result in zip(symbolic, real, strict=True):
        assert expected.dtype == convia.config.dtype_name(result.dtype)
        assert len(expected.shape) == result.ndim
        assert all(want in (None, have) for want, have in zip(expected.shape, result.shape, strict=True))
    assert layer.count_params() == sum(w.size for w in layer.get_weights())


@pytest.mark.parametrize("name", NAMES)
def test_a_training_step_runs_and_moves_the_weights(name):
    layer, inputs = make(name)
    if inputs is None:
        pytest.skip("its call takes more than inputs")
    outputs = layer(inputs, training=True)
    leaves = [leaf.float() for leaf in tree.flatten(outputs) if isinstance(leaf, torch.Tensor)]
    total = sum((leaf * torch.randn_like(leaf)).sum() for leaf in leaves)
    before = [w.copy() for w in layer.get_weights()]
    variables = layer.trainable_weights
    if not variables:
        return
    total.backward()
    with torch.no_grad():
        convia.optimizers.SGD(0.1).apply([v.grad for v in variables], variables)
    moved = [not np.array_equal(a, b) for a, b in zip(before, layer.get_weights(), strict=True)]
    assert any(moved)


@pytest.mark.parametrize("name", NAMES)
def test_state_round_trip(name):
    (layer, inputs), (other, _) = make(name), make(name)
    if inputs is None:
        pytest.skip("its call takes more than inputs")
    for each in (layer, other):
        each(inputs)
    other.set_weights(layer.get_weights())
    for mine, copied in zip(layer.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, copied)
    outputs = zip(tree.flatten(layer(inputs, training=False)), tree.flatten(other(inputs, training=False)), strict=True)
    for mine, copied in outputs:
        if isinstance(mine, torch.Tensor):
            torch.testing.assert_close(mine, copied)
