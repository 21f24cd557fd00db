"""All layers, under the names that Keras has for them."""

from convia.graph import Input, InputLayer
from convia.input_spec import InputSpec
from convia.layer import Layer
from convia.layers import (
    activation,
    attention,
    attention_heads,
    augmentation_color,
    augmentation_geometry,
    augmentation_mix,
    conv,
    conv_transpose,
    core,
    embedding,
    merge,
    norm,
    pool,
    preprocessing,
    random,
    recurrent,
    recurrent_cells,
    recurrent_conv,
    recurrent_wrappers,
    shape,
    spectral,
    wrappers,
)
from convia.layers.activation import *
from convia.layers.attention import *
from convia.layers.attention_heads import *
from convia.layers.augmentation import Pipeline
from convia.layers.augmentation_color import *
from convia.layers.augmentation_geometry import *
from convia.layers.augmentation_mix import *
from convia.layers.conv import *
from convia.layers.conv_transpose import *
from convia.layers.core import *
from convia.layers.embedding import *
from convia.layers.merge import *
from convia.layers.norm import *
from convia.layers.pool import *
from convia.layers.preprocessing import *
from convia.layers.random import *
from convia.layers.recurrent import *
from convia.layers.recurrent_cells import *
from convia.layers.recurrent_conv import *
from convia.layers.recurrent_wrappers import *
from convia.layers.shape import *
from convia.layers.spectral import *
from convia.layers.wrappers import *

__all__ = ["Input", "InputLayer", "InputSpec", "Layer", "Pipeline"]
for _module in (
    activation, attention, attention_heads, augmentation_color, augmentation_geometry, augmentation_mix, conv,
    conv_transpose, core, embedding, merge, norm, pool, preprocessing, random, recurrent, recurrent_cells,
    recurrent_conv, recurrent_wrappers, shape, spectral, wrappers,
):  # fmt: skip
    __all__ += _module.__all__
