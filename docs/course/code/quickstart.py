# %% data
import convia as keras

keras.utils.set_random_seed(1)
(x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
x_train, x_test = x_train[..., None] / 16, x_test[..., None] / 16
print(x_train.shape, y_train[:10])
#> (1438, 8, 8, 1) [4 4 5 4 5 8 8 6 8 4]

# %% model
model = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.summary()
#> Model: "sequential"
#> ┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━┓
#> ┃ Layer (type)                      ┃ Output Shape           ┃         Param # ┃
#> ┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━┩
#> │ conv2d_4 (Conv2D)                 │ (None, 8, 8, 16)       │             160 │
#> │ max_pooling2d_1 (MaxPooling2D)    │ (None, 4, 4, 16)       │               0 │
#> │ conv2d_5 (Conv2D)                 │ (None, 4, 4, 32)       │           4,640 │
#> │ flatten_1 (Flatten)               │ (None, 512)            │               0 │
#> │ dense_2 (Dense)                   │ (None, 10)             │           5,130 │
#> └───────────────────────────────────┴────────────────────────┴─────────────────┘
#>  Total params: 9,930 (38.79 KB)
#>  Trainable params: 9,930 (38.79 KB)
#>  Non-trainable params: 0 (0.00 B)

# %% fit
model.compile(
    optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"]
)
history = model.fit(x_train, y_train, epochs=10, validation_split=0.15, verbose=0)
print(model.engine)
#> native (avx512, 1 thread)

# %% curves
keras.report.learning_curves(history).savefig("quickstart_curves.png")

# %% test
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"{accuracy:.1%} of the test images")
#> 95.0% of the test images

# %% predict
probabilities = model.predict(x_test, verbose=0)
print(probabilities[0].argmax(), y_test[0])
keras.report.predictions(x_test, y_test, probabilities).savefig(
    "quickstart_predictions.png"
)
#> 1 1

# %% save
model.save("digits.keras")
model = keras.models.load_model("digits.keras")
