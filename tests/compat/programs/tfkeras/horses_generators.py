# expect: Found 8 images belonging to 2 classes.
import os, zipfile, shutil
import tensorflow as tf
from tensorflow.keras.preprocessing.image import ImageDataGenerator
from tensorflow.keras.optimizers import RMSprop
from tensorflow.keras.preprocessing import image
import numpy as np

shutil.make_archive('horses', 'zip', 'data/train')
local_zip = 'horses.zip'
zip_ref = zipfile.ZipFile(local_zip, 'r')
zip_ref.extractall('horse-or-human')
zip_ref.close()
model = tf.keras.models.Sequential([
    tf.keras.layers.Conv2D(4, (3, 3), activation='relu', input_shape=(24, 24, 3)),
    tf.keras.layers.MaxPooling2D(2, 2),
    tf.keras.layers.Conv2D(8, (3, 3), activation='relu'),
    tf.keras.layers.MaxPooling2D(2, 2),
    tf.keras.layers.Flatten(),
    tf.keras.layers.Dense(1, activation='sigmoid')])
model.compile(loss='binary_crossentropy', optimizer=RMSprop(lr=0.001), metrics=['acc'])
train_generator = ImageDataGenerator(rescale=1/255).flow_from_directory('horse-or-human', target_size=(24, 24), batch_size=8, class_mode='binary')
validation_generator = ImageDataGenerator(rescale=1/255).flow_from_directory('data/validation', target_size=(24, 24), batch_size=4, class_mode='binary')
history = model.fit_generator(train_generator, steps_per_epoch=2, epochs=2, verbose=1, validation_data=validation_generator, validation_steps=2)
acc = history.history['acc']
val_acc = history.history['val_acc']
successive_outputs = [layer.output for layer in model.layers[1:]]
visualization_model = tf.keras.models.Model(inputs=model.input, outputs=successive_outputs)
x = image.img_to_array(image.load_img('data/elephant.jpg', target_size=(24, 24)))
x = x.reshape((1,) + x.shape) / 255
for layer_name, feature_map in zip([l.name for l in model.layers], visualization_model.predict(x)):
    print(layer_name, feature_map.shape)
classes = model.predict(np.vstack([x]), batch_size=10)
print(train_generator.class_indices, classes[0] > 0.5)
model.evaluate(validation_generator)
