# expect: all equal
import numpy as np
import keras
from keras.models import Sequential, Model, load_model, model_from_json, model_from_yaml, model_from_config
from keras.layers import Dense, Conv2D, Flatten, Input, Lambda
import os, h5py

model = Sequential()
model.add(Conv2D(3, (3, 3), input_shape=(6, 6, 1), name='c1'))
model.add(Flatten())
model.add(Dense(2, name='d1'))
model.compile(loss='mse', optimizer='adam', metrics=['mae'])
x = np.random.rand(4, 6, 6, 1)
model.train_on_batch(x, np.random.rand(4, 2))
want = model.predict(x)
model.save('my_model.h5')
del model
model = load_model('my_model.h5')
checks = [model.predict(x)]
json_string = model.to_json()
m = model_from_json(json_string)
model.save_weights('w.h5')
m.load_weights('w.h5', by_name=True)
checks.append(m.predict(x))
y = model.to_yaml()
m = model_from_yaml(y)
m.set_weights(model.get_weights())
checks.append(m.predict(x))
m = Sequential.from_config(model.get_config())
m.set_weights(model.get_weights())
checks.append(m.predict(x))
model.save('model_no_ending')
checks.append(load_model('model_no_ending', compile=False).predict(x))
model.save_weights('weights_no_ending')
m.load_weights('weights_no_ending')
checks.append(m.predict(x))
with h5py.File('my_model.h5', 'r') as f:
    assert 'model_weights' in f and 'c1' in f['model_weights']
    print(sorted(f.attrs))
other = Sequential([Conv2D(3, 3, input_shape=(6, 6, 1), name='c1'), Flatten(), Dense(7, name='new')])
other.load_weights('w.h5', by_name=True)
assert np.allclose(other.layers[0].get_weights()[0], model.layers[0].get_weights()[0])
for c in checks:
    assert np.allclose(c, want, atol=1e-6)
model.optimizer.get_config()
config = model.get_config()
model.reset_states()
print('all equal')
