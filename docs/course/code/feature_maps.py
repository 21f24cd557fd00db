# %% model
import numpy as np

import convia as keras
from convia.layers import Conv2D, Dense, Flatten, MaxPooling2D
from convia.models import Model, Sequential

keras.utils.set_random_seed(1)
(x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
x_train, x_test = (x[..., None].astype("float32") / 16 for x in (x_train, x_test))

model = Sequential()
model.add(
    Conv2D(
        8,
        (3, 3),
        activation="relu",
        padding="same",
        name="conv1",
        input_shape=x_train.shape[1:],
    )
)
model.add(MaxPooling2D(pool_size=(2, 2)))
model.add(Conv2D(16, (3, 3), activation="relu", padding="same", name="conv2"))
model.add(MaxPooling2D(pool_size=(2, 2)))
model.add(Flatten())
model.add(Dense(10, activation="softmax"))
model.compile(
    loss="sparse_categorical_crossentropy", optimizer="adam", metrics=["accuracy"]
)
model.fit(x_train, y_train, epochs=15, verbose=0)
print(f"{model.evaluate(x_test, y_test, verbose=0)[1]:.1%}")
#> 94.2%

# %% inside
modelConv = Model(inputs=model.input, outputs=model.get_layer("conv1").output)
maps = modelConv.predict(x_test, verbose=0)
print(maps.shape)
#> (359, 8, 8, 8)

# %% filters
keras.report.filters(model).savefig("filters.png")
print(model.get_layer("conv2").get_weights()[0][:, :, 0, 0].shape)
#> (3, 3)

# %% maps
keras.report.feature_maps(model, x_test[0]).savefig("maps.png")

# %% first
conv1 = model.get_layer("conv1")
kernel, bias = conv1.get_weights()
image = np.pad(x_test[0, :, :, 0], 1)
by_hand = np.array(
    [
        [np.sum(image[i : i + 3, j : j + 3] * kernel[:, :, 0, 0]) for j in range(8)]
        for i in range(8)
    ]
)
by_hand = np.maximum(by_hand + bias[0], 0)
print(bool(np.allclose(by_hand, maps[0, :, :, 0], atol=1e-5)))
#> True


# %% receptive
def receptive_field(*layers):
    field, step = 1, 1
    for kernel_size, stride in layers:
        field += (kernel_size - 1) * step
        step *= stride
    return field


print(
    receptive_field((3, 1)),
    receptive_field((3, 1), (2, 2)),
    receptive_field((3, 1), (2, 2), (3, 1)),
)
#> 3 4 8

# %% measured
pixel = keras.ops.convert_to_tensor(
    np.random.default_rng(0).random((1, 8, 8, 1), dtype="float32")
).requires_grad_()
deep = Model(model.input, model.get_layer("conv2").output)
deep(pixel)[0, 1, 1].sum().backward()
seen = (pixel.grad[0, :, :, 0] != 0).numpy()
print(seen.any(0).sum(), "×", seen.any(1).sum())
#> 7 × 7

# %% why
heat = keras.explain.grad_cam(model, x_test[0], layer="conv2")
print(heat.shape, heat.min() >= 0, heat.max() <= 1)
#> (4, 4) True True

# %% picture
import matplotlib.pyplot as plt

figure, axes = plt.subplots(2, 6, figsize=(7.5, 2.7))
for column, index in enumerate(range(6)):
    heat = keras.explain.grad_cam(model, x_test[index], layer="conv2")
    axes[0, column].imshow(x_test[index, :, :, 0])
    axes[1, column].imshow(keras.explain.overlay(x_test[index], heat))
for axis in axes.flat:
    axis.axis("off")
figure.savefig("grad_cam.png")
plt.close(figure)
