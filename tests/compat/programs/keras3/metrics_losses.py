# expect: metrics ok
import keras
import numpy as np
from keras import metrics, losses, ops

m = metrics.AUC()
m.update_state([0, 1, 1, 0], [0.1, 0.8, 0.6, 0.4])
assert abs(float(m.result()) - 1) < 1e-6
p = metrics.Precision(thresholds=0.5)
p.update_state([0, 1, 1], [0.9, 0.8, 0.1])
assert abs(float(p.result()) - 0.5) < 1e-6


@keras.saving.register_keras_serializable()
def focal(y_true, y_pred, gamma=2.0):
    return ops.mean(ops.power(1 - y_pred, gamma) * -y_true * ops.log(y_pred + 1e-7))


model = keras.Sequential([keras.layers.Dense(3, activation="softmax")])
model.compile("adamw", focal, metrics=[metrics.F1Score(average="macro"), metrics.TopKCategoricalAccuracy(2, name="top2"), metrics.MeanIoU(3, sparse_y_true=False, sparse_y_pred=False)])
h = model.fit(np.random.rand(9, 4), np.eye(3)[np.arange(9) % 3], verbose=0)
assert {"f1_score", "top2"} <= set(h.history), h.history
print("metrics ok", float(losses.Huber()(np.zeros(2), np.ones(2))))
