# expect: iou
import numpy as np
import keras
from keras.models import *
from keras.layers import *
from keras.optimizers import *
from keras.callbacks import ModelCheckpoint, LearningRateScheduler
from keras import backend as keras_backend
from keras.preprocessing.image import ImageDataGenerator


def unet(pretrained_weights=None, input_size=(16, 16, 1)):
    inputs = Input(input_size)
    conv1 = Conv2D(4, 3, activation='relu', padding='same', kernel_initializer='he_normal')(inputs)
    pool1 = MaxPooling2D(pool_size=(2, 2))(conv1)
    conv4 = Conv2D(8, 3, activation='relu', padding='same', kernel_initializer='he_normal')(pool1)
    drop4 = Dropout(0.5)(conv4)
    up9 = Conv2D(4, 2, activation='relu', padding='same', kernel_initializer='he_normal')(UpSampling2D(size=(2, 2))(drop4))
    merge9 = concatenate([conv1, up9], axis=3)
    conv9 = Conv2D(2, 3, activation='relu', padding='same', kernel_initializer='he_normal')(merge9)
    conv10 = Conv2D(1, 1, activation='sigmoid')(conv9)
    model = Model(input=inputs, output=conv10)
    model.compile(optimizer=Adam(lr=1e-4), loss='binary_crossentropy', metrics=['accuracy', iou])
    if pretrained_weights:
        model.load_weights(pretrained_weights)
    return model


def iou(y_true, y_pred):
    inter = keras_backend.sum(y_true * keras_backend.round(y_pred))
    return inter / (keras_backend.sum(keras_backend.maximum(y_true, keras_backend.round(y_pred))) + 1.)


def adjustData(img, mask):
    img = img / 255
    mask = mask / 255
    mask[mask > 0.5] = 1
    mask[mask <= 0.5] = 0
    return (img, mask)


def trainGenerator(batch_size, train_path, image_folder, mask_folder, aug_dict, target_size=(16, 16), seed=1):
    image_datagen = ImageDataGenerator(**aug_dict)
    mask_datagen = ImageDataGenerator(**aug_dict)
    image_generator = image_datagen.flow_from_directory(train_path, classes=[image_folder], class_mode=None, color_mode="grayscale",
                                                        target_size=target_size, batch_size=batch_size, save_to_dir=None, save_prefix="image", seed=seed)
    mask_generator = mask_datagen.flow_from_directory(train_path, classes=[mask_folder], class_mode=None, color_mode="grayscale",
                                                      target_size=target_size, batch_size=batch_size, seed=seed)
    train_generator = zip(image_generator, mask_generator)
    for (img, mask) in train_generator:
        img, mask = adjustData(img, mask)
        yield (img, mask)


data_gen_args = dict(rotation_range=0.2, width_shift_range=0.05, height_shift_range=0.05, shear_range=0.05, zoom_range=0.05,
                     horizontal_flip=True, fill_mode='nearest')
myGene = trainGenerator(2, 'data/seg', 'images', 'masks', data_gen_args)
model = unet()
model_checkpoint = ModelCheckpoint('unet_membrane.hdf5', monitor='loss', verbose=1, save_best_only=True)
h = model.fit_generator(myGene, steps_per_epoch=3, epochs=1, callbacks=[model_checkpoint])
print('iou', h.history['iou'])


def testGenerator():
    for i in range(3):
        yield np.random.rand(1, 16, 16, 1)


results = model.predict_generator(testGenerator(), 3, verbose=1)
assert results.shape == (3, 16, 16, 1)
