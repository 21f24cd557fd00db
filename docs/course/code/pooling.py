# %% maximum
import numpy as np

from convia.layers import AveragePooling2D, GlobalAveragePooling2D, MaxPooling2D

map_ = np.array([[1, 3, 2, 1], [4, 6, 5, 0], [0, 2, 9, 7], [1, 1, 8, 4]], "float32")
batch = map_[None, :, :, None]
print(MaxPooling2D(pool_size=(2, 2))(batch)[0, :, :, 0].numpy())
print(AveragePooling2D(pool_size=(2, 2))(batch)[0, :, :, 0].numpy())
#> [[6. 5.]
#>  [2. 9.]]
#> [[3.5 2. ]
#>  [1.  7. ]]

# %% by_hand
windows = map_.reshape(2, 2, 2, 2).transpose(
    0, 2, 1, 3
)  # (row, column, within the window …)
print(windows.max((2, 3)).tolist(), windows.mean((2, 3)).tolist())
#> [[6.0, 5.0], [2.0, 9.0]] [[3.5, 2.0], [1.0, 7.0]]

# %% photograph
import matplotlib.pyplot as plt
from matplotlib.cbook import get_sample_data
from PIL import Image

with Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)) as file:
    image = np.array(file.convert("L").resize((256, 304)), "float32")

results = {"256 × 304": image}
pooled = image[None, :, :, None]
for _ in range(3):
    pooled = MaxPooling2D(2)(pooled)
    results[f"{pooled.shape[2]} × {pooled.shape[1]}"] = pooled[0, :, :, 0]

figure, axes = plt.subplots(1, 4, figsize=(9, 3))
for axis, (title, pixels) in zip(axes, results.items(), strict=True):
    axis.imshow(pixels, vmin=0, vmax=255)
    axis.set_title(title)
    axis.axis("off")
figure.savefig("pooling.jpg", pil_kwargs={"quality": 80})
plt.close(figure)

# %% shift
line = np.zeros((8, 8), "float32")
line[:, 2] = 1
moved = np.roll(line, 1, axis=1)
before, after = (
    MaxPooling2D(2)(x[None, :, :, None])[0, :, :, 0] for x in (line, moved)
)
print(
    (line != moved).sum(),
    "pixels differ before,",
    int((before != after).sum()),
    "after pooling",
)
#> 16 pixels differ before, 0 after pooling

# %% sizes
maps = np.zeros((1, 28, 28, 6), "float32")
for layer in (
    MaxPooling2D(2),
    MaxPooling2D(3),
    MaxPooling2D(3, strides=2),
    MaxPooling2D(3, strides=2, padding="same"),
    GlobalAveragePooling2D(),
):
    print(f"{tuple(layer(maps).shape)}  {layer.count_params()} parameters")
#> (1, 14, 14, 6)  0 parameters
#> (1, 9, 9, 6)  0 parameters
#> (1, 13, 13, 6)  0 parameters
#> (1, 14, 14, 6)  0 parameters
#> (1, 6)  0 parameters
