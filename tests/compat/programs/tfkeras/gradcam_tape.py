# expect: heatmap (6, 6)
import numpy as np
import tensorflow as tf
from tensorflow import keras
import matplotlib.cm as cm


def get_img_array(img_path, size):
    img = keras.preprocessing.image.load_img(img_path, target_size=size)
    array = keras.preprocessing.image.img_to_array(img)
    return np.expand_dims(array, axis=0)


def make_gradcam_heatmap(img_array, model, last_conv_layer_name, pred_index=None):
    grad_model = tf.keras.models.Model([model.inputs], [model.get_layer(last_conv_layer_name).output, model.output])
    with tf.GradientTape() as tape:
        last_conv_layer_output, preds = grad_model(img_array)
        if pred_index is None:
            pred_index = tf.argmax(preds[0])
        class_channel = preds[:, pred_index]
    grads = tape.gradient(class_channel, last_conv_layer_output)
    pooled_grads = tf.reduce_mean(grads, axis=(0, 1, 2))
    last_conv_layer_output = last_conv_layer_output[0]
    heatmap = last_conv_layer_output @ pooled_grads[..., tf.newaxis]
    heatmap = tf.squeeze(heatmap)
    heatmap = tf.maximum(heatmap, 0) / tf.math.reduce_max(heatmap)
    return heatmap.numpy()


model = keras.Sequential([keras.layers.Conv2D(4, 3, activation='relu', input_shape=(16, 16, 3)), keras.layers.MaxPooling2D(),
                          keras.layers.Conv2D(4, 2, activation='relu', name='last'), keras.layers.Flatten(), keras.layers.Dense(3)])
model.layers[-1].activation = None
img_array = get_img_array('data/elephant.jpg', (16, 16)) / 255.
heatmap = make_gradcam_heatmap(img_array, model, 'last')
print('heatmap', heatmap.shape)
heatmap = np.uint8(255 * np.nan_to_num(heatmap))
jet_colors = cm.get_cmap("jet")(np.arange(256))[:, :3] if hasattr(cm, 'get_cmap') else np.zeros((256, 3))
jet_heatmap = keras.preprocessing.image.array_to_img(jet_colors[heatmap])
jet_heatmap = jet_heatmap.resize((40, 40))
keras.preprocessing.image.array_to_img(keras.preprocessing.image.img_to_array(jet_heatmap) * 0.4 + 1).save('cam.jpg')
