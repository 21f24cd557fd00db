# expect: maps (1, 1, 1, 2048) fc1000
# expect: dense_1
from keras.applications.resnet50 import ResNet50
from keras.layers import Dense
from keras.models import Model
from keras.utils.vis_utils import plot_model
from scipy.misc import imresize
import numpy as np

model = ResNet50(weights=None, input_shape=(32, 32, 3), classes=5)
last = model.get_layer('activation_49')
maps = Model(inputs=model.input, outputs=(last.output, model.get_layer('fc1000').output))
found, scores = maps.predict(np.random.rand(1, 32, 32, 3))
weights = model.get_layer('fc1000').get_weights()[0]
heat = imresize(found[0].dot(weights[:, scores[0].argmax()]), (32, 32))
print('maps', found.shape, model.layers[-1].name, heat.shape)
top = Model(model.input, Dense(2)(model.get_layer('avg_pool').output))
print(top.layers[-1].name)
