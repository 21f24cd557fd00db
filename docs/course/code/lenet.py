# %% data
import numpy as np

import convia as keras

keras.utils.set_random_seed(1)
(x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
x_train = x_train[..., None].astype("float32") / 16
x_test = x_test[..., None].astype("float32") / 16
print(x_train.shape, y_train.shape, x_test.shape, y_test.shape)
#> (1438, 8, 8, 1) (1438,) (359, 8, 8, 1) (359,)

# %% picture
keras.visualization.plot_image_gallery(
    np.repeat(x_test[:12], 3, axis=-1),
    y_true=y_test[:12],
    label_map={digit: str(digit) for digit in range(10)},
    rows=2,
    cols=6,
    value_range=(0, 1),
    scale=1.2,
    dpi=100,
    path="digits.png",
)

# %% lenet
from convia import Sequential
from convia.layers import AvgPool2D, Conv2D, Dense, Flatten

model = Sequential()

model.add(Conv2D(6, (5, 5), padding="same", activation="tanh", input_shape=(28, 28, 1)))
model.add(AvgPool2D(pool_size=(2, 2)))

model.add(Conv2D(16, (5, 5), padding="valid", activation="tanh"))
model.add(AvgPool2D(pool_size=(2, 2)))

model.add(Flatten())
model.add(Dense(120, activation="tanh"))
model.add(Dense(84, activation="tanh"))
model.add(Dense(10, activation="softmax"))

model.compile(loss="sparse_categorical_crossentropy", optimizer="sgd", metrics=["acc"])
model.summary()
#> Model: "sequential"
#> ┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━┓
#> ┃ Layer (type)                      ┃ Output Shape           ┃         Param # ┃
#> ┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━┩
#> │ conv2d (Conv2D)                   │ (None, 28, 28, 6)      │             156 │
#> │ average_pooling2d                 │ (None, 14, 14, 6)      │               0 │
#> │ (AveragePooling2D)                │                        │                 │
#> │ conv2d_1 (Conv2D)                 │ (None, 10, 10, 16)     │           2,416 │
#> │ average_pooling2d_1               │ (None, 5, 5, 16)       │               0 │
#> │ (AveragePooling2D)                │                        │                 │
#> │ flatten (Flatten)                 │ (None, 400)            │               0 │
#> │ dense (Dense)                     │ (None, 120)            │          48,120 │
#> │ dense_1 (Dense)                   │ (None, 84)             │          10,164 │
#> │ dense_2 (Dense)                   │ (None, 10)             │             850 │
#> └───────────────────────────────────┴────────────────────────┴─────────────────┘
#>  Total params: 61,706 (241.04 KB)
#>  Trainable params: 61,706 (241.04 KB)
#>  Non-trainable params: 0 (0.00 B)

# %% count
print(
    6 * (5 * 5 * 1 + 1), 16 * (5 * 5 * 6 + 1), 120 * (5 * 5 * 16 + 1), 84 * 121, 10 * 85
)
#> 156 2416 48120 10164 850

# %% small
small = Sequential(
    [
        keras.Input((8, 8, 1)),
        Conv2D(16, (3, 3), padding="same", activation="tanh"),
        AvgPool2D(pool_size=(2, 2)),
        Conv2D(32, (3, 3), activation="tanh"),
        Flatten(),
        Dense(64, activation="tanh"),
        Dense(10, activation="softmax"),
    ]
)
small.compile(loss="sparse_categorical_crossentropy", optimizer="adam", metrics=["acc"])
history = small.fit(
    x_train, y_train, validation_split=0.15, batch_size=32, epochs=12, verbose=0
)
accuracies = history.history["acc"], history.history["val_acc"]
for epoch in (0, 3, 11):
    print(
        f"epoch {epoch + 1:2}  acc {accuracies[0][epoch]:.2f}  val_acc {accuracies[1][epoch]:.2f}"
    )
#> epoch  1  acc 0.48  val_acc 0.75
#> epoch  4  acc 0.92  val_acc 0.92
#> epoch 12  acc 0.98  val_acc 0.97

# %% curves
keras.report.learning_curves(history).savefig("lenet_curves.png")

# %% evaluate
loss, accuracy = small.evaluate(x_test, y_test, verbose=0)
print(f"{accuracy:.1%}")
#> 95.3%

# %% confusion
probabilities = small.predict(x_test, verbose=0)
keras.report.confusion_matrix(y_test, probabilities).savefig("lenet_confusion.png")

# %% save
small.save("lenet.keras")
again = keras.models.load_model("lenet.keras")
print(np.array_equal(again.predict(x_test, verbose=0), probabilities))
#> True
