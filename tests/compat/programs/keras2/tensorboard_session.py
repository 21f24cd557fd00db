# expect: TensorBoard ok
import tensorflow as tf
import keras
from keras.backend.tensorflow_backend import set_session
from keras import backend as K
from keras.models import Sequential
from keras.layers import Dense, Activation
from keras.callbacks import TensorBoard
from time import time
import numpy as np

config = tf.ConfigProto()
config.gpu_options.allow_growth = True
config.gpu_options.per_process_gpu_memory_fraction = 0.3
set_session(tf.Session(config=config))
np.random.seed(3)
tf.set_random_seed(3)
model = Sequential([Dense(3, input_shape=(2,)), Activation('tanh'), Dense(1)])
model.compile('sgd', 'mse')
tensorboard = TensorBoard(log_dir="logs/{}".format(time()), histogram_freq=0, batch_size=32, write_graph=True, write_grads=False, write_images=False)
model.fit(np.random.rand(8, 2), np.random.rand(8, 1), epochs=1, callbacks=[tensorboard], verbose=0)
sess = K.get_session()
init_op = tf.global_variables_initializer()
sess.run(init_op)
x = np.random.rand(2, 2)
out = sess.run(model.output, feed_dict={model.input: x})
assert np.allclose(out, model.predict(x), atol=1e-5)
out = sess.run([model.layers[0].output, model.output], {model.input: x, K.learning_phase(): 0})
assert out[0].shape == (2, 3)
with sess.as_default():
    print('TensorBoard ok', len(sess.graph.get_operations()) >= 0)
K.clear_session()
