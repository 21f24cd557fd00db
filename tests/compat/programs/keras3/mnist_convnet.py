# expect: Test accuracy
import numpy as np
import keras
from keras import layers

num_classes = 10
(x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
x_train = np.expand_dims(x_train.astype("float32") / 255, -1)
x_test = np.expand_dims(x_test.astype("float32") / 255, -1)
y_train = keras.utils.to_categorical(y_train, num_classes)
y_test = keras.utils.to_categorical(y_test, num_classes)
model = keras.Sequential([keras.Input(shape=(28, 28, 1)), layers.Conv2D(4, kernel_size=(3, 3), activation="relu"),
                          layers.MaxPooling2D(pool_size=(2, 2)), layers.Flatten(), layers.Dropout(0.5), layers.Dense(num_classes, activation="softmax")])
model.summary()
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
model.fit(x_train, y_train, batch_size=20, epochs=1, validation_split=0.1)
print("Test accuracy:", model.evaluate(x_test, y_test, verbose=0)[1])
model.save("final_model.keras")
assert np.allclose(keras.saving.load_model("final_model.keras").predict(x_test), model.predict(x_test), atol=1e-6)
