# expect: ops layer
import keras
from keras import layers, ops
import numpy as np


@keras.saving.register_keras_serializable(package="my")
class Attn(layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.seed_generator = keras.random.SeedGenerator(1337)

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="glorot_uniform", name="w")
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", trainable=True)

    def call(self, x, training=False):
        if training:
            x = x + keras.random.normal(ops.shape(x), seed=self.seed_generator)
        return ops.softmax(ops.matmul(x, self.w) + self.b, axis=-1)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


inputs = keras.Input((6,))
x = Attn(4)(inputs)
x = ops.concatenate([x, ops.square(x)], axis=-1)
model = keras.Model(inputs, layers.Dense(1)(x))
model.compile("adam", "mse")
model.fit(np.random.rand(8, 6), np.random.rand(8, 1), verbose=0)
model.save("m.keras")
again = keras.models.load_model("m.keras")
print("ops layer", np.allclose(again.predict(np.ones((2, 6))), model.predict(np.ones((2, 6))), atol=1e-6))
