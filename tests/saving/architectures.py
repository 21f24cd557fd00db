"""Models to be saved, each as a function of a library with Keras's names: convia or Keras."""

from collections.abc import Callable
from typing import Any

Library = Any


def image(k: Library, channels: int = 3) -> Any:
    return k.Input((8, 8, channels), name="image")


def plain_stack(k: Library) -> Any:
    la = k.layers
    return k.Sequential(
        [k.Input((8, 8, 3)), la.Conv2D(4, 3, activation="relu"), la.MaxPooling2D(), la.Flatten(), la.Dense(2)]
    )


def stack_with_norms(k: Library) -> Any:
    la = k.layers
    norms = [la.BatchNormalization(momentum=0.5), la.LayerNormalization(), la.GroupNormalization(2)]
    return k.Sequential([k.Input((8, 8, 4)), *norms, la.GlobalAveragePooling2D(), la.Dense(2, use_bias=False)])


def named_stack(k: Library) -> Any:
    la = k.layers
    inner = [k.Input((5,), name="in"), la.Dense(3, name="second"), la.Dense(2, name="first")]
    return k.Sequential(inner, name="a_name")


def stack_without_input(k: Library) -> Any:
    model = k.Sequential([k.layers.Dense(3), k.layers.Dense(2, activation="softmax")])
    model.build((None, 5))
    return model


def stack_of_stacks(k: Library) -> Any:
    la = k.layers
    block = k.Sequential([la.Conv2D(4, 3, padding="same"), la.BatchNormalization()])
    return k.Sequential([k.Input((8, 8, 3)), block, la.GlobalMaxPooling2D(), k.Sequential([la.Dense(3), la.Dense(2)])])


def residual(k: Library) -> Any:
    la = k.layers
    inputs = image(k)
    x = la.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    y = la.Conv2D(4, 3, padding="same")(x)
    x = la.Activation("relu")(la.Add()([x, y]))
    return k.Model(inputs, la.Dense(2)(la.GlobalAveragePooling2D()(x)))


def separable(k: Library) -> Any:
    la = k.layers
    inputs = image(k)
    x = la.SeparableConv2D(4, 3, depth_multiplier=2)(inputs)
    x = la.DepthwiseConv2D(3, padding="same")(x)
    x = la.Conv2DTranspose(2, 3, strides=2)(x)
    return k.Model(inputs, la.GlobalAveragePooling2D()(la.PReLU(shared_axes=[1, 2])(x)))


def inception(k: Library) -> Any:
    la = k.layers
    inputs = image(k)
    branches = [la.Conv2D(2, size, padding="same")(inputs) for size in (1, 3, 5)]
    branches.append(la.AveragePooling2D(3, strides=1, padding="same")(inputs))
    x = la.Concatenate()(branches)
    return k.Model(inputs, la.Dense(2)(la.Flatten()(x)))


def shared_layer(k: Library) -> Any:
    la = k.layers
    one, other = k.Input((4,)), k.Input((4,))
    dense = la.Dense(4, activation="tanh")
    return k.Model([one, other], la.Dense(2)(la.Subtract()([dense(dense(one)), dense(other)])))


def two_inputs_two_outputs(k: Library) -> Any:
    la = k.layers
    left, right = k.Input((8, 8, 3), name="left"), k.Input((4,), name="right")
    x = la.Concatenate()([la.Flatten()(la.Conv2D(2, 3)(left)), right])
    return k.Model([left, right], [la.Dense(2, name="a")(x), la.Dense(1, name="b")(x)])


def dictionaries(k: Library) -> Any:
    la = k.layers
    inputs = {"p": k.Input((3,), name="p"), "q": k.Input((4,), name="q")}
    x = la.Concatenate()([inputs["q"], inputs["p"]])
    return k.Model(inputs, {"u": la.Dense(2, name="u")(x), "v": la.Dense(3, name="v")(x)})


def nested_functional(k: Library) -> Any:
    la = k.layers
    inner_in = k.Input((4,))
    inner = k.Model(inner_in, [la.Dense(3)(inner_in), la.Dense(2)(inner_in)], name="inner")
    inputs = k.Input((4,))
    a, b = inner(inputs)
    c, _ = inner(la.Dense(4)(inputs))
    return k.Model(inputs, [la.Concatenate()([a, b, c]), inner(inputs)[1]])


def nested_output(k: Library) -> Any:
    inner_in = k.Input((4,))
    inner = k.Model(inner_in, k.layers.Dense(4)(inner_in), name="inner")
    inputs = k.Input((4,))
    return k.Model(inputs, inner(inner(inputs)))


def deeply_nested(k: Library) -> Any:
    la = k.layers
    stack = k.Sequential([k.Input((4,)), la.Dense(3), la.BatchNormalization()])
    middle_in = k.Input((4,))
    middle = k.Model(middle_in, la.Dense(4)(stack(middle_in)))
    inputs = k.Input((4,))
    return k.Model(inputs, k.Sequential([la.Dense(2)])(middle(inputs)))


def backbone_and_head(k: Library) -> Any:
    la = k.layers
    inputs = image(k)
    backbone = k.Model(inputs, la.BatchNormalization()(la.Conv2D(4, 3)(inputs)), name="backbone")
    backbone.trainable = False
    again = image(k)
    return k.Model(again, la.Dense(2)(la.Flatten()(backbone(again, training=False))))


def frozen_layers(k: Library) -> Any:
    model = plain_stack(k)
    model.layers[0].trainable = False
    return model


def layer_in_two_models(k: Library) -> Any:
    la = k.layers
    dense = la.Dense(4)
    left, right = k.Sequential([k.Input((4,)), dense]), k.Sequential([k.Input((4,)), dense, la.Dense(4)])
    inputs = k.Input((4,))
    return k.Model(inputs, la.Add()([left(inputs), right(inputs)]))


def operators(k: Library) -> Any:
    inputs = k.Input((4,))
    x = k.layers.Dense(4)(inputs)
    x = -(x + inputs) * 2 - 1.5
    return k.Model(inputs, 3 - x / 2 + x**2)


def functions(k: Library) -> Any:
    ops = k.ops
    inputs = image(k)
    x = ops.relu(k.layers.Conv2D(4, 3)(inputs))
    x = ops.concatenate([x, ops.clip(x, 0.1, 0.7)], axis=-1)
    x = ops.mean(x, axis=(1, 2), keepdims=True)
    x = ops.reshape(ops.transpose(x, (0, 3, 1, 2)), (-1, 8))
    return k.Model(inputs, ops.softmax(ops.maximum(x, 0.2)))


def slices(k: Library) -> Any:
    inputs = image(k)
    x = inputs[:, 1:7:2, ..., 0]
    return k.Model(inputs, k.layers.Dense(2)(k.layers.Flatten()(x)))


def regularized(k: Library) -> Any:
    la = k.layers
    options = {"kernel_regularizer": k.regularizers.L2(0.01), "kernel_constraint": k.constraints.MaxNorm(2.0)}
    inputs = k.Input((4,))
    x = la.Dense(3, kernel_initializer=k.initializers.HeNormal(seed=1), **options)(inputs)
    return k.Model(inputs, la.Dense(2, activity_regularizer="l1", bias_initializer="ones")(x))


def with_dropout_and_augmentation(k: Library) -> Any:
    la = k.layers
    layers = [la.Rescaling(1 / 255), la.RandomFlip("horizontal"), la.Conv2D(2, 3), la.Dropout(0.3), la.Flatten()]
    return k.Sequential([k.Input((8, 8, 3)), *layers, la.Dense(2)])


def attention_like(k: Library) -> Any:
    la = k.layers
    inputs = image(k, 4)
    gate = la.Dense(4, activation="sigmoid")(la.GlobalAveragePooling2D(keepdims=True)(inputs))
    return k.Model(inputs, la.Flatten()(la.Multiply()([inputs, gate])))


def many_of_a_class(k: Library) -> Any:
    inputs = k.Input((3,))
    outputs, x = [], inputs
    for number in range(12):  # dense_10 comes before dense_2 in alphabetical order
        x = k.layers.Dense(3, name=f"layer{number}", activation="tanh")(x)
        outputs.append(x)
    return k.Model(inputs, k.layers.Average()(outputs))


ARCHITECTURES: list[Callable[[Library], Any]] = [
    plain_stack,
    stack_with_norms,
    named_stack,
    stack_without_input,
    stack_of_stacks,
    residual,
    separable,
    inception,
    shared_layer,
    two_inputs_two_outputs,
    dictionaries,
    nested_functional,
    nested_output,
    deeply_nested,
    backbone_and_head,
    frozen_layers,
    layer_in_two_models,
    operators,
    functions,
    slices,
    regularized,
    with_dropout_and_augmentation,
    attention_like,
    many_of_a_class,
]
