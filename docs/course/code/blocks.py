# %% residual
import convia as keras
from convia import Input, Model
from convia.layers import (
    Activation,
    Add,
    BatchNormalization,
    Conv2D,
    MaxPooling2D,
    concatenate,
)


def residual_block(x, filters, strides=1):
    shortcut = x
    x = Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
    x = Activation("relu")(BatchNormalization()(x))
    x = Conv2D(filters, 3, padding="same", use_bias=False)(x)
    x = BatchNormalization()(x)
    if strides != 1 or shortcut.shape[-1] != filters:
        shortcut = BatchNormalization()(
            Conv2D(filters, 1, strides=strides, use_bias=False)(shortcut)
        )
    return Activation("relu")(Add()([x, shortcut]))


image = Input((32, 32, 64))
print(residual_block(image, 64).shape, residual_block(image, 128, strides=2).shape)
#> (None, 32, 32, 64) (None, 16, 16, 128)

# %% drawing_residual
from convia.models.plot import plot_model

drawn = plot_model(
    Model(image, residual_block(image, 64)), "residual.svg", rankdir="LR"
)

# %% gradients
import numpy as np

from convia.layers import Dense, Flatten


def stack(depth, is_residual):
    keras.utils.set_random_seed(0)
    x = inputs = Input((16, 16, 8))
    for _ in range(depth):
        y = Conv2D(8, 3, padding="same", activation="sigmoid")(x)
        x = Add()([x, y]) if is_residual else y
    return Model(inputs, Dense(1)(Flatten()(x)))


images = np.random.default_rng(0).random((4, 16, 16, 8), dtype="float32") - 0.5
for depth in (2, 10, 40):
    sizes = []
    for is_residual in (False, True):
        model = stack(depth, is_residual)
        keras.ops.mean(model(images) ** 2).backward()
        first = next(w for w in model.trainable_weights if w.ndim == 4)
        sizes.append(float(first.grad.norm()))
    print(f"{depth:2} layers   plain {sizes[0]:.0e}   residual {sizes[1]:.0e}")
#>  2 layers   plain 4e-02   residual 5e-01
#> 10 layers   plain 1e-06   residual 5e+00
#> 40 layers   plain 0e+00   residual 2e+01


# %% inception
def inception(input_img):
    t1 = Conv2D(64, (1, 1), padding="same", activation="relu")(input_img)
    t1 = Conv2D(64, (3, 3), padding="same", activation="relu")(t1)

    t2 = Conv2D(64, (1, 1), padding="same", activation="relu")(input_img)
    t2 = Conv2D(64, (5, 5), padding="same", activation="relu")(t2)

    t3 = MaxPooling2D((3, 3), strides=(1, 1), padding="same")(input_img)
    t3 = Conv2D(64, (1, 1), padding="same", activation="relu")(t3)

    return concatenate([t1, t2, t3], axis=-1)


input_img = Input((32, 32, 192))
module = Model(input_img, inception(input_img))
print(module.output_shape)
#> (None, 32, 32, 192)

# %% drawing_inception
drawn = plot_model(module, "inception.svg", rankdir="TB")

# %% bottleneck
wide = Model(input_img, Conv2D(64, 5, padding="same")(input_img))
narrow = Model(input_img, Conv2D(64, 5, padding="same")(Conv2D(64, 1)(input_img)))
for name, model in {"5 × 5": wide, "1 × 1, then 5 × 5": narrow}.items():
    facts = model.card().facts
    weights, work = facts["parameters"]["total"], facts["multiply_adds"]["total"]
    print(f"{name:18} {weights:8,} weights {work / 1e6:6.0f} million multiplications")
#> 5 × 5               307,264 weights    315 million multiplications
#> 1 × 1, then 5 × 5   114,816 weights    117 million multiplications

# %% depthwise
from convia.layers import SeparableConv2D

full = Model(input_img, Conv2D(192, 3, padding="same")(input_img))
separable = Model(input_img, SeparableConv2D(192, 3, padding="same")(input_img))
print(f"{full.count_params():,} {separable.count_params():,}")
#> 331,968 38,784

# %% train
from convia.layers import GlobalAveragePooling2D

keras.utils.set_random_seed(1)
(x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
x_train, x_test = (x[..., None].astype("float32") / 16 for x in (x_train, x_test))

x = inputs = Input((8, 8, 1))
x = Conv2D(16, 3, padding="same", activation="relu")(x)
x = residual_block(x, 16)
x = residual_block(x, 32, strides=2)
x = GlobalAveragePooling2D()(x)
small_resnet = Model(inputs, Dense(10, activation="softmax")(x))
small_resnet.compile(
    keras.optimizers.Adam(0.003),
    "sparse_categorical_crossentropy",
    metrics=["accuracy"],
)
small_resnet.fit(x_train, y_train, epochs=10, verbose=0)
print(f"{small_resnet.evaluate(x_test, y_test, verbose=0)[1]:.1%}")
#> 98.9%
