# expect: frozen ok
import keras
from keras import layers
import numpy as np

data_augmentation = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1), layers.RandomContrast(0.1), layers.RandomTranslation(0.1, 0.1)])
base_model = keras.applications.EfficientNetB0(weights=None, input_shape=(32, 32, 3), include_top=False)
base_model.trainable = False
inputs = keras.Input(shape=(32, 32, 3))
x = data_augmentation(inputs)
x = layers.Rescaling(scale=1 / 127.5, offset=-1)(x)
x = base_model(x, training=False)
x = layers.GlobalAveragePooling2D()(x)
outputs = layers.Dense(1)(x)
model = keras.Model(inputs, outputs)
model.compile(keras.optimizers.Adam(), keras.losses.BinaryCrossentropy(from_logits=True), metrics=[keras.metrics.BinaryAccuracy()])
h = model.fit(np.random.rand(4, 32, 32, 3) * 255, np.array([0, 1, 0, 1.]), epochs=1, verbose=0)
assert len(model.trainable_weights) == 2
print("frozen ok", sorted(h.history))
