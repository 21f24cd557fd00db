# expect: Number of layers in the base model
import tensorflow as tf
import numpy as np

IMG_SHAPE = (32, 32, 3)
preprocess_input = tf.keras.applications.mobilenet_v2.preprocess_input
base_model = tf.keras.applications.MobileNetV2(input_shape=IMG_SHAPE, include_top=False, weights=None, alpha=0.35)
image_batch = tf.random.uniform((4, 32, 32, 3), maxval=255)
feature_batch = base_model(preprocess_input(image_batch))
print(feature_batch.shape)
base_model.trainable = False
global_average_layer = tf.keras.layers.GlobalAveragePooling2D()
prediction_layer = tf.keras.layers.Dense(1)
inputs = tf.keras.Input(shape=IMG_SHAPE)
x = preprocess_input(inputs)
x = base_model(x, training=False)
x = global_average_layer(x)
x = tf.keras.layers.Dropout(0.2)(x)
outputs = prediction_layer(x)
model = tf.keras.Model(inputs, outputs)
model.compile(optimizer=tf.keras.optimizers.Adam(lr=0.0001), loss=tf.keras.losses.BinaryCrossentropy(from_logits=True), metrics=['accuracy'])
assert len(model.trainable_variables) == 2
ds = tf.data.Dataset.from_tensor_slices((image_batch, [0, 1, 0, 1])).batch(2)
history = model.fit(ds, epochs=1, validation_data=ds)
base_model.trainable = True
print("Number of layers in the base model: ", len(base_model.layers))
for layer in base_model.layers[:100]:
    layer.trainable = False
model.compile(loss=tf.keras.losses.BinaryCrossentropy(from_logits=True), optimizer=tf.keras.optimizers.RMSprop(learning_rate=1e-5), metrics=['accuracy'])
history_fine = model.fit(ds, epochs=2, initial_epoch=history.epoch[-1] + 1, validation_data=ds)
image_batch, label_batch = ds.as_numpy_iterator().next()
predictions = model.predict_on_batch(image_batch).flatten()
predictions = tf.where(tf.nn.sigmoid(predictions) < 0.5, 0, 1)
print(predictions.numpy(), label_batch)
