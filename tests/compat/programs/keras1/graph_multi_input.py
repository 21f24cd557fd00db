# expect: ['main_output', 'aux_output']
from keras.layers import Input, Embedding, LSTM, Dense, merge
from keras.models import Model
import numpy as np

main_input = Input(shape=(10,), dtype='int32', name='main_input')
x = Embedding(output_dim=12, input_dim=100, input_length=10)(main_input)
lstm_out = LSTM(8)(x)
auxiliary_loss = Dense(1, activation='sigmoid', name='aux_output')(lstm_out)
auxiliary_input = Input(shape=(5,), name='aux_input')
x = merge([lstm_out, auxiliary_input], mode='concat')
x = Dense(16, activation='relu')(x)
main_loss = Dense(1, activation='sigmoid', name='main_output')(x)
model = Model(input=[main_input, auxiliary_input], output=[main_loss, auxiliary_loss])
print(model.output_names)
model.compile(optimizer='rmsprop', loss={'main_output': 'binary_crossentropy', 'aux_output': 'binary_crossentropy'},
              loss_weights={'main_output': 1., 'aux_output': 0.2})
headline_data = np.random.randint(0, 100, (12, 10))
additional_data = np.random.rand(12, 5)
labels = np.random.randint(0, 2, (12, 1))
h = model.fit({'main_input': headline_data, 'aux_input': additional_data},
              {'main_output': labels, 'aux_output': labels}, nb_epoch=2, batch_size=6)
assert set(h.history) >= {'loss', 'main_output_loss', 'aux_output_loss'}, h.history
assert len(model.metrics_names) == 3, model.metrics_names
out = model.predict([headline_data, additional_data])
assert len(out) == 2
