# expect: subclass
import keras
import numpy as np


class AE(keras.Model):
    def __init__(self, dim=4):
        super().__init__()
        self.encoder = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(dim, activation="relu")])
        self.decoder = keras.Sequential([keras.layers.Dense(36, activation="sigmoid"), keras.layers.Reshape((6, 6))])

    def call(self, x):
        return self.decoder(self.encoder(x))


ae = AE()
ae.compile(optimizer="adam", loss=keras.losses.MeanSquaredError())
x = np.random.rand(20, 6, 6)
h = ae.fit(x, x, epochs=3, shuffle=True, validation_data=(x, x), verbose=0)
print("subclass", h.history["loss"][-1] < h.history["loss"][0], ae.encoder(x).shape)
