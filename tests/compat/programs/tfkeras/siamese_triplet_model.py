# expect: triplet loss
import tensorflow as tf
from tensorflow.keras import layers, metrics, Model, applications, optimizers
import numpy as np


class DistanceLayer(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def call(self, anchor, positive, negative):
        ap_distance = tf.reduce_sum(tf.square(anchor - positive), -1)
        an_distance = tf.reduce_sum(tf.square(anchor - negative), -1)
        return (ap_distance, an_distance)


emb = tf.keras.Sequential([layers.Flatten(input_shape=(6, 6, 1)), layers.Dense(8), layers.Lambda(lambda x: tf.math.l2_normalize(x, axis=1))])
anchor_input, positive_input, negative_input = [layers.Input(name=n, shape=(6, 6, 1)) for n in ("anchor", "positive", "negative")]
distances = DistanceLayer()(emb(anchor_input), emb(positive_input), emb(negative_input))
siamese_network = Model(inputs=[anchor_input, positive_input, negative_input], outputs=distances)


class SiameseModel(Model):
    def __init__(self, siamese_network, margin=0.5):
        super(SiameseModel, self).__init__()
        self.siamese_network = siamese_network
        self.margin = margin
        self.loss_tracker = metrics.Mean(name="loss")

    def call(self, inputs):
        return self.siamese_network(inputs)

    def train_step(self, data):
        with tf.GradientTape() as tape:
            loss = self._compute_loss(data)
        gradients = tape.gradient(loss, self.siamese_network.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.siamese_network.trainable_weights))
        self.loss_tracker.update_state(loss)
        return {"loss": self.loss_tracker.result()}

    def test_step(self, data):
        self.loss_tracker.update_state(self._compute_loss(data))
        return {"loss": self.loss_tracker.result()}

    def _compute_loss(self, data):
        ap_distance, an_distance = self.siamese_network(data)
        return tf.maximum(ap_distance - an_distance + self.margin, 0.0)

    @property
    def metrics(self):
        return [self.loss_tracker]


d = tf.data.Dataset.from_tensor_slices(np.random.rand(3, 12, 6, 6, 1).astype('float32').transpose(1, 0, 2, 3, 4)).map(lambda t: (t[0], t[1], t[2]))
ds = d.batch(4)
siamese_model = SiameseModel(siamese_network)
siamese_model.compile(optimizer=optimizers.Adam(0.0001), weighted_metrics=[])
h = siamese_model.fit(ds, epochs=2, validation_data=ds)
print('triplet loss', h.history['val_loss'])
cosine_similarity = metrics.CosineSimilarity()
print(cosine_similarity(tf.ones((1, 4)), tf.ones((1, 4))).numpy())
