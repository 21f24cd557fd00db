# expect: seen 24 24
# era: keras1
"""fit_generator that counts samples, evaluate_generator and predict_generator with val_samples."""

import numpy as np
from keras.callbacks import ModelCheckpoint, ReduceLROnPlateau
from keras.layers.core import Activation, Dense, Flatten
from keras.models import Sequential, model_from_json
from keras.optimizers import SGD
from keras.preprocessing.image import ImageDataGenerator

seen = []


def batches():
    while True:
        seen.append(8)
        yield np.random.rand(8, 4, 4, 1), np.random.randint(0, 2, (8, 1))


model = Sequential([Flatten(input_shape=(4, 4, 1)), Dense(1), Activation("sigmoid")])
model.compile(SGD(lr=0.1, decay=1e-6, momentum=0.9, nesterov=True), "binary_crossentropy", metrics=["accuracy"])
model.fit_generator(batches(), samples_per_epoch=24, nb_epoch=1, verbose=0)
first = sum(seen)
model.fit_generator(batches(), 24, 1, verbose=0, validation_data=batches(), nb_val_samples=16, max_q_size=2)
print("seen", first, sum(seen) - first - 16)
images = ImageDataGenerator(horizontal_flip=True).flow(np.random.rand(20, 4, 4, 1), np.ones((20, 1)), batch_size=8)
history = model.fit_generator(
    images,
    samples_per_epoch=20,
    nb_epoch=2,
    nb_worker=2,
    verbose=0,
    callbacks=[
        ReduceLROnPlateau(monitor="acc", epsilon=0.1, patience=1),
        ModelCheckpoint("weights.{epoch:02d}.hdf5", monitor="loss"),
    ],
)
assert len(history.history["loss"]) == 2
assert len(model.evaluate_generator(batches(), val_samples=16)) == 2
assert model.predict_generator(batches(), val_samples=16).shape == (16, 1)
open("model.json", "w").write(model.to_json())
model.save_weights("w.h5", overwrite=True)
again = model_from_json(open("model.json").read())
again.load_weights("weights.02.hdf5")
again.load_weights("w.h5")
x = np.random.rand(3, 4, 4, 1)
assert np.allclose(again.predict(x), model.predict(x))
x, y = images.next()
assert x.shape == (8, 4, 4, 1)
