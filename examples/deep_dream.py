"""Gradients to the image: what does a class look like to the network?

Not the weights but the pixels are changed, such that the score of a class rises. The same few lines make deep dreams
and, with another loss, style transfer.
"""

# %%
import numpy as np
import torch

import convia as keras

EPOCHS, STEPS = 15, 120
keras.utils.set_random_seed(1)

(x_train, y_train), _ = keras.datasets.digits.load_data()
x_train = x_train[..., None].astype("float32") / 16
model = keras.applications.lenet(input_shape=(8, 8, 1), classes=10)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x_train, y_train, epochs=EPOCHS, verbose=0)

# %% [markdown]
# One image per class, all at once. A little blur keeps neighbouring pixels alike.

# %%
scores = keras.Model(model.inputs, model.layers[-1].output)
images = torch.full((10, 8, 8, 1), 0.2, requires_grad=True)
optimizer = torch.optim.Adam([images], lr=0.05)
for _ in range(STEPS):
    optimizer.zero_grad()
    wanted = torch.log(scores(images)[range(10), range(10)] + 1e-6).sum()
    rough = (images[:, 1:] - images[:, :-1]).square().sum() + (images[:, :, 1:] - images[:, :, :-1]).square().sum()
    (-wanted + 0.3 * rough).backward()
    optimizer.step()
    with torch.no_grad():
        images.clamp_(0, 1)

# %%
dreams = images.detach().numpy()
print("recognized as", model.predict(dreams, verbose=0).argmax(1))
keras.visualization.plot_image_gallery(np.repeat(dreams, 3, -1), rows=2, cols=5, value_range=(0, 1), path="dreams.png")
