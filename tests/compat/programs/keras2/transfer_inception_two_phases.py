# expect: 0 input_1
# expect: phase 2
from keras.applications.inception_v3 import InceptionV3, preprocess_input
from keras.applications.mobilenet import MobileNet
from keras.preprocessing import image
from keras.models import Model
from keras.layers import Dense, GlobalAveragePooling2D
from keras import backend as K
from keras.optimizers import SGD
from keras.preprocessing.image import ImageDataGenerator

base_model = MobileNet(weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.25)
x = base_model.output
x = GlobalAveragePooling2D()(x)
x = Dense(8, activation='relu')(x)
predictions = Dense(2, activation='softmax')(x)
model = Model(inputs=base_model.input, outputs=predictions)
for layer in base_model.layers:
    layer.trainable = False
model.compile(optimizer='rmsprop', loss='categorical_crossentropy')
gen = ImageDataGenerator(preprocessing_function=preprocess_input).flow_from_directory('data/train', target_size=(32, 32), batch_size=8)
frozen = base_model.layers[2].get_weights()[0].copy()
model.fit_generator(gen, steps_per_epoch=2, epochs=1)
assert (frozen == base_model.layers[2].get_weights()[0]).all()
for i, layer in enumerate(base_model.layers[:3]):
    print(i, layer.name)
for layer in model.layers[:10]:
    layer.trainable = False
for layer in model.layers[10:]:
    layer.trainable = True
model.compile(optimizer=SGD(lr=0.0001, momentum=0.9), loss='categorical_crossentropy')
model.fit_generator(gen, steps_per_epoch=1, epochs=1)
print('phase 2', len(model.trainable_weights))
