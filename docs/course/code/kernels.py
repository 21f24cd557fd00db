# %% photograph
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cbook import get_sample_data
from PIL import Image

with Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)) as file:
    image = np.array(file.convert("L").resize((256, 300)))
print(image.shape, image.dtype, image.min(), image.max())
print(image[:3, :6])
#> (300, 256) uint8 0 255
#> [[32 38 38 34 36 28]
#>  [35 37 34 32 39 31]
#>  [36 33 38 34 31 35]]

# %% convolve
import convia as keras


def convolve(image, kernel):
    layer = keras.layers.Conv2D(1, kernel.shape, padding="same", use_bias=False)
    layer.build((None, None, None, 1))
    layer.set_weights([kernel[:, :, None, None]])
    result = layer(image[None, :, :, None].astype("float32"))
    return np.clip(keras.ops.convert_to_numpy(result)[0, :, :, 0], 0, 255)


# %% kernels
kernels = {
    "corners": np.array([[5, 0, -5], [0, 0, 0], [-5, 0, 5]]),
    "horizontal": np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]]),
    "vertical": np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
    "blur": np.ones((7, 7)) / 49,
    "sharpen": np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
}
for name, kernel in kernels.items():
    print(
        f"{name:10} sum of the weights {kernel.sum():.0f}, mean of the result {convolve(image, kernel).mean():.0f}"
    )
#> corners    sum of the weights 0, mean of the result 26
#> horizontal sum of the weights 0, mean of the result 18
#> vertical   sum of the weights 0, mean of the result 21
#> blur       sum of the weights 1, mean of the result 76
#> sharpen    sum of the weights 1, mean of the result 79


# %% picture
def gallery(images, file):
    figure, axes = plt.subplots(2, 3, figsize=(7.5, 6))
    for axis, (name, pixels) in zip(axes.flat, images.items(), strict=True):
        axis.imshow(pixels, vmin=0, vmax=255)
        axis.set_title(name)
        axis.axis("off")
    figure.savefig(file, pil_kwargs={"quality": 80})
    plt.close(figure)


gallery(
    {"photograph": image}
    | {name: convolve(image, kernel) for name, kernel in kernels.items()},
    "kernels.jpg",
)

# %% strength
down = convolve(image, kernels["horizontal"])
up = convolve(image, -kernels["horizontal"])
print(
    "darker above:",
    (down > 100).mean().round(3),
    " brighter above:",
    (up > 100).mean().round(3),
)
#> darker above: 0.058  brighter above: 0.062
