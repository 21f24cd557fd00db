"""Classification: which digit is it?

The beginning of everything: convolutions and poolings, a classifier, and a test on images that the network has never
seen. ``digits`` comes with the library; ``mnist``, ``fashion_mnist`` and ``cifar10`` are downloaded when they are used.
"""

# %%
import convia as keras
from convia import layers

EPOCHS = 20
keras.utils.set_random_seed(1)

(x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
x_train = x_train[..., None].astype("float32") / 16  # (images, 8, 8, 1), values of 0…1
x_test = x_test[..., None].astype("float32") / 16

# %%
model = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dropout(0.3),
        layers.Dense(10, activation="softmax"),
    ]
)
model.summary()

# %%
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x_train, y_train, epochs=EPOCHS, validation_split=0.15, verbose=2)

# %%
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"test accuracy {accuracy:.1%}")
keras.report.learning_curves(history).savefig("curves.png")
keras.report.confusion_matrix(y_test, model.predict(x_test, verbose=0)).savefig("confusion.png")
