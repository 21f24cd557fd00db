# expect: Found 16 files belonging to 2 classes.
# expect: ['cats', 'dogs']
import tensorflow as tf
from tensorflow.keras import layers
import pathlib, os
import numpy as np

data_dir = pathlib.Path('data/train')
print(len(list(data_dir.glob('*/*.jpg'))))
train_ds = tf.keras.preprocessing.image_dataset_from_directory(data_dir, validation_split=0.25, subset="training", seed=123, image_size=(24, 24), batch_size=4)
val_ds = tf.keras.preprocessing.image_dataset_from_directory(data_dir, validation_split=0.25, subset="validation", seed=123, image_size=(24, 24), batch_size=4)
class_names = train_ds.class_names
print(class_names)
for image_batch, labels_batch in train_ds.take(1):
    print(image_batch.shape, labels_batch.dtype)
    image_batch[0].numpy().astype("uint8")
AUTOTUNE = tf.data.experimental.AUTOTUNE
train_ds = train_ds.cache().shuffle(100).prefetch(buffer_size=AUTOTUNE)
val_ds = val_ds.cache().prefetch(buffer_size=AUTOTUNE)
data_augmentation = tf.keras.Sequential([
    layers.experimental.preprocessing.RandomFlip("horizontal", input_shape=(24, 24, 3)),
    layers.experimental.preprocessing.RandomRotation(0.1),
    layers.experimental.preprocessing.RandomZoom(0.1)])
model = tf.keras.Sequential([data_augmentation, layers.experimental.preprocessing.Rescaling(1./255), layers.Conv2D(4, 3, padding='same', activation='relu'),
                             layers.MaxPooling2D(), layers.Dropout(0.2), layers.Flatten(), layers.Dense(len(class_names))])
model.compile(optimizer='adam', loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=['accuracy'])
model.summary()
history = model.fit(train_ds, validation_data=val_ds, epochs=2)
acc, val_acc = history.history['accuracy'], history.history['val_accuracy']
img = tf.keras.preprocessing.image.load_img('data/validation/cats/cat.0.jpg', target_size=(24, 24))
img_array = tf.expand_dims(tf.keras.preprocessing.image.img_to_array(img), 0)
predictions = model.predict(img_array)
score = tf.nn.softmax(predictions[0])
print("This image most likely belongs to {} with a {:.2f} percent confidence.".format(class_names[np.argmax(score)], 100 * np.max(score)))
