# expect: patches
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers
import numpy as np


class Patches(layers.Layer):
    def __init__(self, patch_size):
        super(Patches, self).__init__()
        self.patch_size = patch_size

    def call(self, images):
        batch_size = tf.shape(images)[0]
        patches = tf.image.extract_patches(images=images, sizes=[1, self.patch_size, self.patch_size, 1], strides=[1, self.patch_size, self.patch_size, 1],
                                           rates=[1, 1, 1, 1], padding="VALID")
        patch_dims = patches.shape[-1]
        return tf.reshape(patches, [batch_size, -1, patch_dims])


class PatchEncoder(layers.Layer):
    def __init__(self, num_patches, projection_dim):
        super().__init__()
        self.num_patches = num_patches
        self.projection = layers.Dense(units=projection_dim)
        self.position_embedding = layers.Embedding(input_dim=num_patches, output_dim=projection_dim)

    def call(self, patch):
        positions = tf.range(start=0, limit=self.num_patches, delta=1)
        return self.projection(patch) + self.position_embedding(positions)


inputs = layers.Input(shape=(16, 16, 3))
data_augmentation = keras.Sequential([layers.Normalization(), layers.Resizing(16, 16), layers.RandomFlip("horizontal"), layers.RandomRotation(factor=0.02)], name="data_augmentation")
x_train = np.random.rand(8, 16, 16, 3)
data_augmentation.layers[0].adapt(x_train)
patches = Patches(4)(data_augmentation(inputs))
encoded_patches = PatchEncoder(16, 8)(patches)
for _ in range(2):
    x1 = layers.LayerNormalization(epsilon=1e-6)(encoded_patches)
    attention_output = layers.MultiHeadAttention(num_heads=2, key_dim=8, dropout=0.1)(x1, x1)
    x2 = layers.Add()([attention_output, encoded_patches])
    x3 = layers.LayerNormalization(epsilon=1e-6)(x2)
    x3 = layers.Dense(8, activation=tf.nn.gelu)(x3)
    encoded_patches = layers.Add()([x3, x2])
representation = layers.Flatten()(encoded_patches)
model = keras.Model(inputs=inputs, outputs=layers.Dense(3)(representation))
model.compile(optimizer=keras.optimizers.AdamW(learning_rate=0.001, weight_decay=0.0001), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
              metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy"), keras.metrics.SparseTopKCategoricalAccuracy(2, name="top-2-accuracy")])
h = model.fit(x=x_train, y=np.arange(8) % 3, batch_size=4, epochs=1, validation_split=0.25)
print('patches', Patches(4)(x_train).shape, 'val_top-2-accuracy' in h.history)
