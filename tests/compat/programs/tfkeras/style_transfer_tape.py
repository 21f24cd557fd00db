# expect: Train step: 2
import tensorflow as tf
import numpy as np
import PIL.Image


def tensor_to_image(tensor):
    tensor = tensor*255
    tensor = np.array(tensor, dtype=np.uint8)
    if np.ndim(tensor) > 3:
        assert tensor.shape[0] == 1
        tensor = tensor[0]
    return PIL.Image.fromarray(tensor)


def load_img(path_to_img):
    max_dim = 16
    img = tf.io.read_file(path_to_img)
    img = tf.image.decode_image(img, channels=3)
    img = tf.image.convert_image_dtype(img, tf.float32)
    shape = tf.cast(tf.shape(img)[:-1], tf.float32)
    long_dim = max(shape)
    scale = max_dim / long_dim
    new_shape = tf.cast(shape * scale, tf.int32)
    img = tf.image.resize(img, new_shape)
    img = img[tf.newaxis, :]
    return img


content_image, style_image = load_img('data/content.jpg'), load_img('data/style.jpg')
inp = tf.keras.Input((None, None, 3))
a = tf.keras.layers.Conv2D(4, 3, activation='relu', name='s1', padding='same')(inp)
b = tf.keras.layers.Conv2D(4, 3, activation='relu', name='c1', padding='same')(a)
vgg = tf.keras.Model(inp, b)


def vgg_layers(layer_names):
    vgg.trainable = False
    return tf.keras.Model([vgg.input], [vgg.get_layer(name).output for name in layer_names])


def gram_matrix(input_tensor):
    result = tf.linalg.einsum('bijc,bijd->bcd', input_tensor, input_tensor)
    input_shape = tf.shape(input_tensor)
    num_locations = tf.cast(input_shape[1]*input_shape[2], tf.float32)
    return result/(num_locations)


class StyleContentModel(tf.keras.models.Model):
    def __init__(self, style_layers, content_layers):
        super(StyleContentModel, self).__init__()
        self.vgg = vgg_layers(style_layers + content_layers)
        self.style_layers, self.content_layers = style_layers, content_layers
        self.num_style_layers = len(style_layers)
        self.vgg.trainable = False

    def call(self, inputs):
        outputs = self.vgg(inputs*255.0 / 100.)
        style_outputs, content_outputs = (outputs[:self.num_style_layers], outputs[self.num_style_layers:])
        style_outputs = [gram_matrix(o) for o in style_outputs]
        return {'content': dict(zip(self.content_layers, content_outputs)), 'style': dict(zip(self.style_layers, style_outputs))}


extractor = StyleContentModel(['s1'], ['c1'])
style_targets = extractor(style_image)['style']
content_targets = extractor(content_image)['content']
image = tf.Variable(content_image)
opt = tf.optimizers.Adam(learning_rate=0.02, beta_1=0.99, epsilon=1e-1)


@tf.function()
def train_step(image):
    with tf.GradientTape() as tape:
        outputs = extractor(image)
        loss = tf.add_n([tf.reduce_mean((outputs['style'][n] - style_targets[n])**2) for n in outputs['style']])
        loss += tf.add_n([tf.reduce_mean((outputs['content'][n] - content_targets[n])**2) for n in outputs['content']])
        loss += 1e-4 * tf.image.total_variation(image)
    grad = tape.gradient(loss, image)
    opt.apply_gradients([(grad, image)])
    image.assign(tf.clip_by_value(image, clip_value_min=0.0, clip_value_max=1.0))


for step in range(3):
    train_step(image)
    print("Train step: {}".format(step))
tensor_to_image(image).save('out.png')
