# expect: score
"""tf.keras.wrappers.scikit_learn, multi_gpu_model's successors, Sequence subclasses without super().__init__()."""

import numpy as np
import pytest
from tensorflow.keras.layers import Dense, DepthwiseConv2D, Flatten, LeakyReLU
from tensorflow.keras.models import Sequential, clone_model, model_from_json
from tensorflow.keras.utils import Sequence, to_categorical

pytest.importorskip("sklearn")
from tensorflow.keras.wrappers.scikit_learn import KerasClassifier


def create_model(optimizer="adam", units=4):
    model = Sequential(
        [Dense(units, input_dim=3, kernel_initializer="uniform", activation="relu"), Dense(1, activation="sigmoid")]
    )
    model.compile(loss="binary_crossentropy", optimizer=optimizer, metrics=["accuracy"])
    return model


x, y = np.random.rand(30, 3), np.random.randint(0, 2, 30)
classifier = KerasClassifier(build_fn=create_model, epochs=2, batch_size=10, verbose=0)
classifier.fit(x, y)
print("score", classifier.score(x, y))
assert classifier.predict(x).shape == (30, 1) and classifier.predict_proba(x).shape == (30, 2)


class Batches(Sequence):
    def __init__(self, size):
        self.size = size

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return np.ones((self.size, 6, 6, 2)), to_categorical(np.arange(self.size) % 2, 2)


model = Sequential(
    [
        DepthwiseConv2D(3, kernel_initializer="he_normal", input_shape=(6, 6, 2)),
        LeakyReLU(alpha=0.1),
        Flatten(),
        Dense(2, activation="softmax"),
    ]
)
model.compile("rmsprop", "categorical_crossentropy", metrics=["accuracy"])
history = model.fit(Batches(4), epochs=1, steps_per_epoch=2.5, verbose=0)
assert "accuracy" in history.history
model.fit_generator(Batches(4), epochs=1, verbose=0)
copy = clone_model(model)
assert model_from_json(model.to_json()).count_params() == copy.count_params()
