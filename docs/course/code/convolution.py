# %% sequence
import numpy as np

sequence = np.array([2, 3, 5, 7, 11])
weights = np.array([-1, 1])
print(np.sum(weights * sequence[0:2]), np.sum(weights * sequence[1:3]))
#> 1 2


# %% convolve
def convolve(sequence, weights):
    convolution = np.zeros(len(sequence) - len(weights) + 1)
    for i in range(convolution.shape[0]):
        convolution[i] = np.sum(weights * sequence[i : i + len(weights)])
    return convolution


print(convolve(sequence, weights))
#> [1. 2. 2. 4.]

# %% matrices
s = np.array(
    [
        [1, 1, 1, 0, 0],
        [0, 1, 1, 1, 0],
        [0, 0, 1, 1, 1],
        [0, 0, 1, 1, 0],
        [0, 1, 1, 0, 0],
    ]
)
w = np.array([[1, 0, 1], [0, 1, 0], [1, 0, 1]])
print(np.sum(w * s[0:3, 0:3]))
#> 4


# %% convolve2d
def convolve2d(image, kernel):
    rows = image.shape[0] - kernel.shape[0] + 1
    columns = image.shape[1] - kernel.shape[1] + 1
    convolution = np.zeros((rows, columns))
    for i in range(rows):
        for j in range(columns):
            window = image[i : i + kernel.shape[0], j : j + kernel.shape[1]]
            convolution[i, j] = np.sum(kernel * window)
    return convolution


print(convolve2d(s, w))
#> [[4. 3. 4.]
#>  [2. 4. 3.]
#>  [2. 3. 4.]]

# %% picture
import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle


def show(axes, matrix, title, window=None):
    axes.imshow(matrix, cmap="Blues", vmin=0, vmax=6)
    for (i, j), value in np.ndenumerate(matrix):
        axes.text(j, i, f"{value:g}", ha="center", va="center", fontsize=13)
    if window:
        row, column, side = window
        axes.add_patch(
            Rectangle(
                (column - 0.5, row - 0.5),
                side,
                side,
                fill=False,
                edgecolor="#d55e00",
                linewidth=3,
            )
        )
    axes.set_title(title)
    axes.axis("off")


figure, axes = plt.subplots(1, 3, figsize=(8, 3), width_ratios=[5, 3, 3])
show(axes[0], s, "s", (1, 2, 3))
show(axes[1], w, "w")
show(axes[2], convolve2d(s, w), "s ∗ w", (1, 2, 1))
figure.savefig("convolution.svg")
plt.close(figure)

# %% pixel
window = np.array([[105, 102, 100], [103, 99, 103], [101, 98, 104]])
sharpen = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]])
print(np.sum(window * sharpen))
#> 89

# %% layer
import convia as keras

layer = keras.layers.Conv2D(1, 3, use_bias=False)
layer.build((None, 5, 5, 1))
layer.set_weights([w.reshape(3, 3, 1, 1)])
result = layer(s.reshape(1, 5, 5, 1).astype("float32"))
print(result.shape)
print(result[0, :, :, 0])
#> torch.Size([1, 3, 3, 1])
#> tensor([[4., 3., 4.],
#>         [2., 4., 3.],
#>         [2., 3., 4.]], grad_fn=<SelectBackward0>)

# %% flipped
print(np.convolve(sequence, weights, mode="valid"))
print(convolve(sequence, weights[::-1]))
#> [-1 -2 -2 -4]
#> [-1. -2. -2. -4.]
