# expect: plot skipped or done
import keras
from keras.utils import multi_gpu_model, plot_model, print_summary
from keras.utils.vis_utils import model_to_dot
from keras.models import Model
from keras.layers import *
from keras.applications.xception import preprocess_input
import numpy as np

print(keras.__version__)
assert keras.__version__.startswith('2')
inp = Input(batch_shape=(None, 8, 8, 3))
x = Conv2D(4, (1, 3), padding='same', name='a')(inp)
x = Conv2D(4, (3, 1), padding='same', name='b')(x)
x = concatenate([x, MaxPool2D(3, 1, padding='same')(inp)], axis=-1)
x = GlobalMaxPool2D()(x)
model = Model(inp, Dense(2)(x))
try:
    parallel_model = multi_gpu_model(model, gpus=2)
except ValueError:
    parallel_model = model
parallel_model.compile(loss='mse', optimizer='rmsprop')
parallel_model.fit(np.random.rand(4, 8, 8, 3), np.random.rand(4, 2), epochs=1, batch_size=4, verbose=0)
print_summary(model)
model.summary(line_length=100)
model.summary(print_fn=lambda s: None)
try:
    plot_model(model, to_file='model.png', show_shapes=True)
except (ImportError, OSError):
    pass
for layer in model.layers:
    print(layer.name, layer.input_shape, layer.output_shape, [w.shape for w in layer.get_weights()])
a = model.get_layer('a')
assert a.get_output_at(0) is not None and a.get_input_shape_at(0) == (None, 8, 8, 3)
assert a.get_config()['filters'] == 4 and a.kernel_size == (1, 3)
assert model.get_layer(index=1).name == 'a'
print('plot skipped or done')
