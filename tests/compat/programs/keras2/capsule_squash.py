# expect: capsnet
import numpy as np
from keras import backend as K
from keras import layers, initializers, models, optimizers
import tensorflow as tf


class Length(layers.Layer):
    def call(self, inputs, **kwargs):
        return K.sqrt(K.sum(K.square(inputs), -1))

    def compute_output_shape(self, input_shape):
        return input_shape[:-1]


class Mask(layers.Layer):
    def call(self, inputs, **kwargs):
        if type(inputs) is list:
            assert len(inputs) == 2
            inputs, mask = inputs
        else:
            x = K.sqrt(K.sum(K.square(inputs), -1))
            mask = K.one_hot(indices=K.argmax(x, 1), num_classes=x.get_shape().as_list()[1])
        return K.batch_flatten(inputs * K.expand_dims(mask, -1))

    def compute_output_shape(self, input_shape):
        if type(input_shape[0]) is tuple:
            return tuple([None, input_shape[0][1] * input_shape[0][2]])
        return tuple([None, input_shape[1] * input_shape[2]])


def squash(vectors, axis=-1):
    s_squared_norm = K.sum(K.square(vectors), axis, keepdims=True)
    scale = s_squared_norm / (1 + s_squared_norm) / K.sqrt(s_squared_norm + K.epsilon())
    return scale * vectors


class CapsuleLayer(layers.Layer):
    def __init__(self, num_capsule, dim_capsule, routings=2, kernel_initializer='glorot_uniform', **kwargs):
        super(CapsuleLayer, self).__init__(**kwargs)
        self.num_capsule = num_capsule
        self.dim_capsule = dim_capsule
        self.routings = routings
        self.kernel_initializer = initializers.get(kernel_initializer)

    def build(self, input_shape):
        assert len(input_shape) >= 3
        self.input_num_capsule = input_shape[1]
        self.input_dim_capsule = input_shape[2]
        self.W = self.add_weight(shape=[self.num_capsule, self.input_num_capsule, self.dim_capsule, self.input_dim_capsule],
                                 initializer=self.kernel_initializer, name='W')
        self.built = True

    def call(self, inputs, training=None):
        inputs_expand = tf.expand_dims(inputs, 1)
        inputs_tiled = tf.tile(inputs_expand, [1, self.num_capsule, 1, 1])
        inputs_tiled = tf.expand_dims(inputs_tiled, 4)
        inputs_hat = tf.squeeze(tf.map_fn(lambda x: tf.matmul(self.W, x), elems=inputs_tiled), axis=-1)
        b = tf.zeros(shape=[tf.shape(inputs)[0], self.num_capsule, 1, self.input_num_capsule])
        for i in range(self.routings):
            c = tf.nn.softmax(b, axis=1)
            outputs = squash(tf.matmul(c, inputs_hat))
            if i < self.routings - 1:
                b += tf.matmul(outputs, inputs_hat, transpose_b=True)
        return tf.squeeze(outputs, axis=2)

    def compute_output_shape(self, input_shape):
        return tuple([None, self.num_capsule, self.dim_capsule])


def margin_loss(y_true, y_pred):
    L = y_true * K.square(K.maximum(0., 0.9 - y_pred)) + 0.5 * (1 - y_true) * K.square(K.maximum(0., y_pred - 0.1))
    return K.mean(K.sum(L, 1))


x = layers.Input(shape=(12, 12, 1))
conv1 = layers.Conv2D(filters=4, kernel_size=5, strides=1, padding='valid', activation='relu', name='conv1')(x)
p = layers.Conv2D(filters=8, kernel_size=4, strides=2, padding='valid', name='primarycap_conv2d')(conv1)
p = layers.Reshape(target_shape=[-1, 4], name='primarycap_reshape')(p)
primarycaps = layers.Lambda(squash, name='primarycap_squash')(p)
digitcaps = CapsuleLayer(num_capsule=3, dim_capsule=4, routings=2, name='digitcaps')(primarycaps)
out_caps = Length(name='capsnet')(digitcaps)
y = layers.Input(shape=(3,))
masked_by_y = Mask()([digitcaps, y])
masked = Mask()(digitcaps)
decoder = models.Sequential(name='decoder')
decoder.add(layers.Dense(16, activation='relu', input_dim=4*3))
decoder.add(layers.Dense(144, activation='sigmoid'))
decoder.add(layers.Reshape(target_shape=(12, 12, 1), name='out_recon'))
train_model = models.Model([x, y], [out_caps, decoder(masked_by_y)])
eval_model = models.Model(x, [out_caps, decoder(masked)])
train_model.compile(optimizer=optimizers.Adam(lr=0.001), loss=[margin_loss, 'mse'], loss_weights=[1., 0.392], metrics={'capsnet': 'accuracy'})
X, Y = np.random.rand(6, 12, 12, 1), np.eye(3)[[0, 1, 2, 0, 1, 2]]
h = train_model.fit([X, Y], [Y, X], batch_size=3, epochs=1, validation_data=[[X, Y], [Y, X]])
print([k for k in sorted(h.history) if 'capsnet' in k])
y_pred, x_recon = eval_model.predict(X, batch_size=3)
