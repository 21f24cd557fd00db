# expect: formats ok
import tensorflow as tf
import numpy as np
from tensorflow.keras.models import load_model, save_model, model_from_json, clone_model

model = tf.keras.Sequential([tf.keras.layers.Dense(4, 'relu', input_shape=(3,)), tf.keras.layers.BatchNormalization(), tf.keras.layers.Dense(1)])
model.compile('adam', 'mse', metrics=['mae', tf.keras.metrics.RootMeanSquaredError()])
x = np.random.rand(8, 3)
model.fit(x, np.random.rand(8, 1), verbose=0)
want = model.predict(x)
model.save('saved_model/my_model')
model.save('my_model.h5', save_format='h5')
model.save('m.keras')
save_model(model, 'other', save_format='tf')
tf.saved_model.save(model, 'third')
for p in ['saved_model/my_model', 'my_model.h5', 'm.keras', 'other']:
    new_model = tf.keras.models.load_model(p)
    assert np.allclose(new_model.predict(x), want, atol=1e-6), p
    assert len(new_model.evaluate(x, np.random.rand(8, 1), verbose=0)) == 3
model.save_weights('./checkpoints/my_checkpoint')
m = clone_model(model)
m.load_weights('./checkpoints/my_checkpoint')
assert np.allclose(m.predict(x), want, atol=1e-6)
m = model_from_json(model.to_json())
model.save_weights('w.h5')
m.load_weights('w.h5')
assert np.allclose(m.predict(x), want, atol=1e-6)
loaded = tf.saved_model.load('third')
print('formats ok')
