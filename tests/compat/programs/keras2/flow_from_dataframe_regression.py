# expect: Found 16 validated image filenames
# expect: mae
import pandas as pd
from keras_preprocessing.image import ImageDataGenerator
from keras.layers import Dense, Activation, Flatten, Dropout, BatchNormalization, Conv2D, MaxPooling2D
from keras.models import Sequential
from keras import regularizers, optimizers

df = pd.read_csv('data/labels.csv', dtype=str)
traindf = df[df.filename.str.startswith('train')]
testdf = df[df.filename.str.startswith('validation')]
datagen = ImageDataGenerator(rescale=1./255., validation_split=0.25)
train_generator = datagen.flow_from_dataframe(dataframe=traindf, directory="data", x_col="filename", y_col="label", batch_size=4,
                                              seed=42, shuffle=True, class_mode="categorical", target_size=(16, 16), subset=None)
raw = traindf.copy()
raw['target'] = raw['target'].astype(float)
valid_generator = datagen.flow_from_dataframe(dataframe=raw, directory="data", x_col="filename", y_col="target", subset="validation",
                                              batch_size=4, class_mode="raw", target_size=(16, 16))
test_generator = datagen.flow_from_dataframe(dataframe=testdf, directory="data", x_col="filename", y_col=None, batch_size=3,
                                             shuffle=False, class_mode=None, target_size=(16, 16))
model = Sequential()
model.add(Conv2D(4, (3, 3), padding='same', input_shape=(16, 16, 3)))
model.add(Activation('relu'))
model.add(BatchNormalization())
model.add(MaxPooling2D(pool_size=(2, 2)))
model.add(Flatten())
model.add(Dense(2, activation='softmax'))
model.compile(optimizers.rmsprop(lr=0.0001, decay=1e-6), loss="categorical_crossentropy", metrics=["accuracy"])
STEP_SIZE_TRAIN = train_generator.n//train_generator.batch_size
STEP_SIZE_TEST = test_generator.n/test_generator.batch_size
model.fit_generator(generator=train_generator, steps_per_epoch=STEP_SIZE_TRAIN, epochs=1)
test_generator.reset()
pred = model.predict_generator(test_generator, steps=STEP_SIZE_TEST, verbose=1)
assert len(pred) == 8
import numpy as np
predicted_class_indices = np.argmax(pred, axis=1)
labels = dict((v, k) for k, v in train_generator.class_indices.items())
predictions = [labels[k] for k in predicted_class_indices]
pd.DataFrame({"Filename": test_generator.filenames, "Predictions": predictions}).to_csv("results.csv", index=False)
reg = Sequential([Flatten(input_shape=(16, 16, 3)), Dense(1)])
reg.compile('sgd', 'mse', metrics=['mae'])
print('mae', reg.evaluate_generator(valid_generator)[1])
