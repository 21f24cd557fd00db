# %% filters
import numpy as np

import convia as keras
from convia.layers import Conv2D, Dense, Flatten

layer = Conv2D(filters=4, kernel_size=(3, 3))
images = np.random.default_rng(0).random((16, 32, 32, 3), dtype="float32")
print(tuple(layer(images).shape))
for weights in layer.weights:
    print(f"{weights.name:7} {tuple(weights.shape)}")
#> (16, 30, 30, 4)
#> kernel  (3, 3, 3, 4)
#> bias    (4,)

# %% parameters
print(layer.count_params(), "=", 4 * (3 * 3 * 3 + 1))
print(f"Dense: {32 * 32 * 3 * 30 * 30 * 4:,}")
#> 112 = 112
#> Dense: 11,059,200

# %% channels
red, green, blue = (images[..., channel : channel + 1] for channel in range(3))
kernel = layer.get_weights()[0]
total = layer.bias
for channel, pixels in enumerate((red, green, blue)):
    one = Conv2D(4, 3, use_bias=False)
    one.build(pixels.shape)
    one.set_weights([kernel[:, :, channel : channel + 1]])
    total = total + one(pixels)
print(bool(keras.ops.all(keras.ops.isclose(total, layer(images), atol=1e-5))))
#> True


# %% size
def output_size(W, K, P=0, S=1):
    return (W - K + 2 * P) // S + 1


print(
    output_size(32, 3),
    output_size(32, 3, P=1),
    output_size(32, 5, P=2, S=2),
    output_size(227, 11, S=4),
)
#> 30 32 16 55

# %% table
print("  K  S  padding  formula  Conv2D")
for K in (3, 5):
    for S in (1, 2):
        for padding, P in (("valid", 0), ("same", (K - 1) // 2)):
            made = Conv2D(1, K, strides=S, padding=padding)(images)
            print(
                f"  {K}  {S}  {padding:7}  {output_size(32, K, P, S):7}  {made.shape[1]:6}"
            )
#>   K  S  padding  formula  Conv2D
#>   3  1  valid         30      30
#>   3  1  same          32      32
#>   3  2  valid         15      15
#>   3  2  same          16      16
#>   5  1  valid         28      28
#>   5  1  same          32      32
#>   5  2  valid         14      14
#>   5  2  same          16      16

# %% picture
import matplotlib.pyplot as plt


def draw(axes, W, K, P, S):
    for i in range(-P, W + P):
        for j in range(-P, W + P):
            inside = 0 <= i < W and 0 <= j < W
            axes.add_patch(
                plt.Rectangle(
                    (j, i),
                    1,
                    1,
                    facecolor="#9fc5e0" if inside else "white",
                    edgecolor="#68717c",
                )
            )
    size = output_size(W, K, P, S)
    for i in range(size):
        for j in range(size):
            centre = (j * S - P + K / 2, i * S - P + K / 2)
            axes.add_patch(plt.Circle(centre, 0.16, color="#d55e00"))
    axes.add_patch(
        plt.Rectangle((-P, -P), K, K, fill=False, edgecolor="#d55e00", linewidth=2.5)
    )
    axes.set_title(f"K={K}, P={P}, S={S}: {W} → {size}")
    axes.set(xlim=(-1.2, W + 1.2), ylim=(W + 1.2, -1.2), aspect="equal")
    axes.axis("off")


figure, axes = plt.subplots(1, 3, figsize=(9, 3.2))
for axis, (P, S) in zip(axes, [(0, 1), (1, 1), (1, 2)], strict=True):
    draw(axis, 6, 3, P, S)
figure.savefig("padding_stride.png")
plt.close(figure)

# %% coverage
ones = np.ones((1, 5, 5, 1), "float32")
count = Conv2D(1, 3, padding="same", kernel_initializer="ones")(ones)
print(keras.ops.convert_to_numpy(count)[0, :, :, 0].astype(int))
#> [[4 6 6 6 4]
#>  [6 9 9 9 6]
#>  [6 9 9 9 6]
#>  [6 9 9 9 6]
#>  [4 6 6 6 4]]

# %% model
model = keras.Sequential()
model.add(Conv2D(filters=4, kernel_size=(3, 3), input_shape=(32, 32, 3)))
print(model.output_shape)
model.add(Flatten())
print(model.output_shape)
model.add(Dense(10, activation="softmax"))
print(model.output_shape)
#> (None, 30, 30, 4)
#> (None, 3600)
#> (None, 10)
