# expect: Found 16 images belonging to 2 classes.
# expect: keys ['acc', 'loss', 'val_acc', 'val_loss']
from keras.preprocessing.image import ImageDataGenerator, array_to_img, img_to_array, load_img
from keras.models import Sequential
from keras.layers import Convolution2D, MaxPooling2D
from keras.layers import Activation, Dropout, Flatten, Dense
import os

datagen = ImageDataGenerator(rotation_range=40, width_shift_range=0.2, height_shift_range=0.2, shear_range=0.2,
                             zoom_range=0.2, horizontal_flip=True, fill_mode='nearest')
img = load_img('data/train/cats/cat.0.jpg')
x = img_to_array(img)
x = x.reshape((1,) + x.shape)
os.makedirs('preview')
i = 0
for batch in datagen.flow(x, batch_size=1, save_to_dir='preview', save_prefix='cat', save_format='jpeg'):
    i += 1
    if i > 4:
        break
assert len(os.listdir('preview')) == 5

model = Sequential()
model.add(Convolution2D(8, 3, 3, input_shape=(24, 24, 3)))
model.add(Activation('relu'))
model.add(MaxPooling2D(pool_size=(2, 2)))
model.add(Flatten())
model.add(Dense(8))
model.add(Activation('relu'))
model.add(Dropout(0.5))
model.add(Dense(1))
model.add(Activation('sigmoid'))
model.compile(loss='binary_crossentropy', optimizer='rmsprop', metrics=['accuracy'])
train_datagen = ImageDataGenerator(rescale=1./255, shear_range=0.2, zoom_range=0.2, horizontal_flip=True)
test_datagen = ImageDataGenerator(rescale=1./255)
train_generator = train_datagen.flow_from_directory('data/train', target_size=(24, 24), batch_size=4, class_mode='binary')
validation_generator = test_datagen.flow_from_directory('data/validation', target_size=(24, 24), batch_size=4, class_mode='binary')
h = model.fit_generator(train_generator, samples_per_epoch=16, nb_epoch=2, validation_data=validation_generator, nb_val_samples=8)
print('keys', sorted(h.history.keys()))
assert len(h.history['loss']) == 2
score = model.evaluate_generator(validation_generator, val_samples=8)
assert len(score) == 2
model.save_weights('first_try.h5')
