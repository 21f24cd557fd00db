# expect: color_output_acc
from keras.models import Model
from keras.layers import Input, Lambda, Dense, Conv2D, MaxPooling2D, Flatten, Activation, Dropout, BatchNormalization
from keras.optimizers import Adam
import keras.backend as K
import numpy as np
import tensorflow as tf


def build_category_branch(inputs, numCategories, finalAct="softmax"):
    x = Lambda(lambda c: tf.image.rgb_to_grayscale(c))(inputs)
    x = Conv2D(4, (3, 3), padding="same")(x)
    x = Activation("relu")(x)
    x = MaxPooling2D(pool_size=(3, 3))(x)
    x = Flatten()(x)
    x = Dense(numCategories)(x)
    return Activation(finalAct, name="category_output")(x)


def build_color_branch(inputs, numColors, finalAct="softmax"):
    x = Conv2D(4, (3, 3), padding="same")(inputs)
    x = Flatten()(x)
    x = Dense(numColors)(x)
    return Activation(finalAct, name="color_output")(x)


inputs = Input(shape=(12, 12, 3))
model = Model(inputs=inputs, outputs=[build_category_branch(inputs, 3), build_color_branch(inputs, 2)], name="fashionnet")
losses = {"category_output": "categorical_crossentropy", "color_output": "categorical_crossentropy"}
lossWeights = {"category_output": 1.0, "color_output": 1.0}
model.compile(optimizer=Adam(lr=1e-3, decay=1e-3 / 50), loss=losses, loss_weights=lossWeights, metrics=["accuracy"])
X = np.random.rand(12, 12, 12, 3)
H = model.fit(X, {"category_output": np.eye(3)[np.arange(12) % 3], "color_output": np.eye(2)[np.arange(12) % 2]},
              validation_data=(X, {"category_output": np.eye(3)[np.arange(12) % 3], "color_output": np.eye(2)[np.arange(12) % 2]}),
              epochs=1, verbose=1, batch_size=4)
for k in ("loss", "category_output_loss", "color_output_loss", "category_output_acc", "val_color_output_acc"):
    assert k in H.history, (k, H.history.keys())
print(sorted(H.history))
(categoryProba, colorProba) = model.predict(X[:1])
