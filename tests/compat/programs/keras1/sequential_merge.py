# expect: (None, 12)
from keras.models import Sequential
from keras.layers import Merge, Dense, Activation
import numpy as np

left_branch = Sequential()
left_branch.add(Dense(8, input_dim=6))
right_branch = Sequential()
right_branch.add(Dense(4, input_dim=5))
merged = Merge([left_branch, right_branch], mode='concat')
final_model = Sequential()
final_model.add(merged)
print(final_model.output_shape)
final_model.add(Dense(3, activation='softmax'))
final_model.compile(optimizer='rmsprop', loss='categorical_crossentropy', metrics=['accuracy'])
a, b = np.random.rand(9, 6), np.random.rand(9, 5)
final_model.fit([a, b], np.eye(3)[np.arange(9) % 3], nb_epoch=1, batch_size=3)
p = final_model.predict_classes([a, b])
assert p.shape == (9,)
