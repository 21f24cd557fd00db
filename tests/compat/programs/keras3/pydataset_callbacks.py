# expect: lr 0.05
import keras
import numpy as np
import math


class Seq(keras.utils.PyDataset):
    def __init__(self, x, y, batch_size, **kwargs):
        super().__init__(**kwargs)
        self.x, self.y, self.batch_size = x, y, batch_size

    def __len__(self):
        return math.ceil(len(self.x) / self.batch_size)

    def __getitem__(self, idx):
        low, high = idx * self.batch_size, min((idx + 1) * self.batch_size, len(self.x))
        return self.x[low:high], self.y[low:high]


ds = Seq(np.random.rand(10, 4), np.random.randint(0, 2, 10), 4, workers=1)
model = keras.Sequential([keras.layers.Dense(2)])
model.compile(keras.optimizers.SGD(learning_rate=0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
cbs = [keras.callbacks.LearningRateScheduler(lambda e, lr: lr * 0.5 if e else lr), keras.callbacks.EarlyStopping("loss", patience=3),
       keras.callbacks.ModelCheckpoint("best.weights.h5", save_weights_only=True, save_best_only=True, monitor="loss")]
h = model.fit(ds, epochs=2, callbacks=cbs, verbose=0)
print("lr", float(model.optimizer.learning_rate))
assert "learning_rate" in h.history
model.load_weights("best.weights.h5")
