"""Few images: augmentation, and callbacks that look after the training.

``ImageDataGenerator`` changes each image at random, anew in every epoch. Callbacks keep the best weights, lower the
learning rate when nothing improves any more, and stop in the end.
"""

# %%
import convia as keras
from convia.callbacks import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from convia.preprocessing.image import ImageDataGenerator

EPOCHS = 40
keras.utils.set_random_seed(1)

(x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
x_train, y_train = x_train[:300, ..., None].astype("float32"), y_train[:300]
x_test = x_test[..., None].astype("float32")

# %%
datagen = ImageDataGenerator(
    rescale=1 / 16, rotation_range=10, width_shift_range=[-1, 0, 1], height_shift_range=[-1, 0, 1], validation_split=0.2
)
plain = ImageDataGenerator(rescale=1 / 16, validation_split=0.2)
train = datagen.flow(x_train, y_train, batch_size=16, subset="training", seed=1)
validation = plain.flow(x_train, y_train, batch_size=16, subset="validation", seed=1)

# %%
model = keras.applications.lenet(input_shape=(8, 8, 1), classes=10)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
callbacks = [
    ModelCheckpoint("best.keras", save_best_only=True),
    ReduceLROnPlateau(factor=0.3, patience=4),
    EarlyStopping(patience=10, restore_best_weights=True),
]
model.fit(train, validation_data=validation, epochs=EPOCHS, callbacks=callbacks, verbose=2)

# %%
best = keras.models.load_model("best.keras")
print(f"test accuracy {best.evaluate(x_test / 16, y_test, verbose=0)[1]:.1%}")
