# expect: heatmap (6, 6)
import numpy as np
import cv2
import matplotlib
matplotlib.use('Agg')
import matplotlib.pyplot as plt
from keras import backend as K
from keras.models import Sequential
from keras.layers import Conv2D, MaxPooling2D, Flatten, Dense
from keras.preprocessing import image

model = Sequential()
model.add(Conv2D(4, (3, 3), activation='relu', input_shape=(16, 16, 3), padding='same'))
model.add(MaxPooling2D((2, 2)))
model.add(Conv2D(8, (3, 3), activation='relu', name='block5_conv3'))
model.add(Flatten())
model.add(Dense(3, activation='softmax'))
img_path = 'data/elephant.jpg'
img = image.load_img(img_path, target_size=(16, 16))
x = image.img_to_array(img)
x = np.expand_dims(x, axis=0) / 255.
preds = model.predict(x)
african_elephant_output = model.output[:, np.argmax(preds[0])]
last_conv_layer = model.get_layer('block5_conv3')
grads = K.gradients(african_elephant_output, last_conv_layer.output)[0]
pooled_grads = K.mean(grads, axis=(0, 1, 2))
iterate = K.function([model.input], [pooled_grads, last_conv_layer.output[0]])
pooled_grads_value, conv_layer_output_value = iterate([x])
for i in range(8):
    conv_layer_output_value[:, :, i] *= pooled_grads_value[i]
heatmap = np.mean(conv_layer_output_value, axis=-1)
heatmap = np.maximum(heatmap, 0)
heatmap /= np.max(heatmap) + 1e-9
plt.matshow(heatmap)
plt.close('all')
print('heatmap', heatmap.shape)
img = cv2.imread(img_path)
heatmap = cv2.resize(heatmap, (img.shape[1], img.shape[0]))
heatmap = np.uint8(255 * heatmap)
heatmap = cv2.applyColorMap(heatmap, cv2.COLORMAP_JET)
superimposed_img = heatmap * 0.4 + img
cv2.imwrite('elephant_cam.jpg', superimposed_img)
layer_outputs = [layer.output for layer in model.layers[:3]]
from keras import models
activation_model = models.Model(inputs=model.input, outputs=layer_outputs)
activations = activation_model.predict(x)
assert activations[0].shape == (1, 16, 16, 4)
