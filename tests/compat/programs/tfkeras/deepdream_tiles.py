# expect: Step 0, loss
import tensorflow as tf
import numpy as np

inp = tf.keras.Input((None, None, 3))
x = tf.keras.layers.Conv2D(4, 3, activation='relu', name='mixed3')(inp)
x = tf.keras.layers.Conv2D(4, 3, activation='relu', name='mixed5')(x)
base_model = tf.keras.Model(inp, x)
layers = [base_model.get_layer(name).output for name in ['mixed3', 'mixed5']]
dream_model = tf.keras.Model(inputs=base_model.input, outputs=layers)


def calc_loss(img, model):
    img_batch = tf.expand_dims(img, axis=0)
    layer_activations = model(img_batch)
    if len(layer_activations) == 1:
        layer_activations = [layer_activations]
    return tf.reduce_sum([tf.math.reduce_mean(act) for act in layer_activations])


class DeepDream(tf.Module):
    def __init__(self, model):
        self.model = model

    @tf.function(input_signature=(tf.TensorSpec(shape=[None, None, 3], dtype=tf.float32), tf.TensorSpec(shape=[], dtype=tf.int32),
                                  tf.TensorSpec(shape=[], dtype=tf.float32),))
    def __call__(self, img, steps, step_size):
        loss = tf.constant(0.0)
        for n in tf.range(steps):
            with tf.GradientTape() as tape:
                tape.watch(img)
                loss = calc_loss(img, self.model)
            gradients = tape.gradient(loss, img)
            gradients /= tf.math.reduce_std(gradients) + 1e-8
            img = img + gradients * step_size
            img = tf.clip_by_value(img, -1, 1)
        return loss, img


deepdream = DeepDream(dream_model)
img = tf.convert_to_tensor(np.random.uniform(-0.2, 0.2, (16, 16, 3)), dtype=tf.float32)
losses = []
for step in range(2):
    loss, img = deepdream(img, tf.constant(3), tf.constant(0.05))
    losses.append(float(loss))
    print("Step {}, loss {}".format(step, loss))
assert losses[1] > losses[0]
img_rolled = tf.roll(img, shift=[2, 3], axis=[0, 1])
shape = tf.shape(img)[:-1]
img2 = tf.image.resize(img, tf.cast(tf.cast(shape, tf.float32) * 1.3, tf.int32))
img2 = tf.cast(255*(img2 + 1.0)/2.0, tf.uint8)
assert img2.shape == (20, 20, 3)
