# expect: ['cats', 'dogs']
import keras
from keras import layers

train_ds, val_ds = keras.utils.image_dataset_from_directory("data/train", validation_split=0.25, subset="both", seed=1337, image_size=(24, 24), batch_size=4)
print(train_ds.class_names)
train_ds = train_ds.map(lambda x, y: (x / 255.0, y)).prefetch(2)
model = keras.Sequential([keras.Input((24, 24, 3)), layers.SeparableConv2D(4, 3), layers.GlobalMaxPooling2D(), layers.Dense(1, activation="sigmoid")])
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
model.fit(train_ds, validation_data=val_ds.map(lambda x, y: (x / 255.0, y)), epochs=1, verbose=2)
img = keras.utils.load_img("data/validation/cats/cat.0.jpg", target_size=(24, 24))
print(model.predict(keras.utils.img_to_array(img)[None] / 255, verbose=0).shape)
