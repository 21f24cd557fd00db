# expect: keys acc loss lr val_acc val_loss
# era: keras2
# translated: lr → learning_rate
"""Keras 2 of 2018: fit_generator with steps, lr and decay, ReduceLROnPlateau(epsilon=), a schedule callback, K.set_value."""

import keras
import numpy as np
from keras import backend as K
from keras.callbacks import EarlyStopping, LearningRateScheduler, ModelCheckpoint, ReduceLROnPlateau, TensorBoard
from keras.layers import Activation, BatchNormalization, Conv2D, Dense, Dropout, Flatten, MaxPooling2D
from keras.models import Sequential, load_model
from keras.optimizers import Adam, RMSprop
from keras.preprocessing.image import ImageDataGenerator
from keras.regularizers import l2

x = np.random.rand(50, 8, 8, 3).astype("float32")
y = keras.utils.to_categorical(np.random.randint(0, 3, 50), 3)
model = Sequential()
model.add(Conv2D(8, 3, 3, padding="Same", input_shape=x.shape[1:], kernel_regularizer=l2(1e-4)))
assert model.layers[0].kernel_size == (3, 3) and model.output_shape == (None, 8, 8, 8)
model.add(Activation("relu"))
model.add(BatchNormalization(axis=-1))
model.add(MaxPooling2D(pool_size=(2, 2)))
model.add(Dropout(0.2))
model.add(Flatten())
model.add(Dense(3, activation="softmax"))
opt = RMSprop(lr=0.001, decay=1e-2)
model.compile(loss="categorical_crossentropy", optimizer=opt, metrics=["accuracy"])
assert model.metrics_names == ["loss", "acc"], model.metrics_names
datagen = ImageDataGenerator(width_shift_range=0.1, horizontal_flip=True)
datagen.fit(x)
model.fit_generator(
    datagen.flow(x, y, batch_size=16),
    steps_per_epoch=x.shape[0] / 16,
    epochs=1,
    workers=4,
    validation_data=(x, y),
    verbose=0,
    use_multiprocessing=True,
    max_queue_size=20,
)
K.set_value(model.optimizer.lr, 0.002)
assert abs(K.get_value(opt.lr) - 0.002) < 1e-8
model.optimizer.lr = 0.004
calls = [
    ReduceLROnPlateau(monitor="val_acc", factor=0.5, patience=1, epsilon=1e-4, min_lr=1e-5, verbose=0),
    EarlyStopping(monitor="val_acc", patience=5),
    ModelCheckpoint("best.hdf5", monitor="val_acc", period=2),
    TensorBoard(log_dir="logs", histogram_freq=0, write_grads=False, batch_size=16),
]
history = model.fit(x, y, epochs=2, batch_size=16, validation_split=0.2, callbacks=calls, verbose=0)
print("keys", *sorted(history.history))
restored = load_model("best.hdf5")
assert restored.predict(x).shape == (50, 3)
restored.compile(Adam(1e-3, 0.9, 0.999), "categorical_crossentropy", ["acc"])
history = restored.fit(x, y, callbacks=[LearningRateScheduler(lambda epoch: 0.01 / (epoch + 1))], epochs=2, verbose=0)
assert np.allclose(history.history["lr"], [0.01, 0.005])
assert np.allclose(history.history["accuracy"], history.history["acc"])
model.save("model_without_ending")
assert np.allclose(load_model("model_without_ending").predict(x), model.predict(x), atol=1e-6)
