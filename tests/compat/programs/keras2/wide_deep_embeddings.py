# expect: rmse
import numpy as np
import pandas as pd
from keras.layers import Input, Embedding, Flatten, Dot, Add, Dense, Concatenate, Dropout, SpatialDropout1D
from keras.models import Model
from keras.optimizers import Adamax
from keras.regularizers import l2
from keras.preprocessing.sequence import pad_sequences
from keras.preprocessing.text import Tokenizer, one_hot

n_users, n_items = 8, 9
user_in = Input(shape=(1,), dtype='int64', name='user_in')
item_in = Input(shape=(1,), dtype='int64', name='item_in')
u = Embedding(n_users, 4, input_length=1, embeddings_regularizer=l2(1e-4))(user_in)
m = Embedding(n_items, 4, input_length=1, embeddings_regularizer=l2(1e-4))(item_in)
x = Concatenate()([Flatten()(u), Flatten()(m)])
x = Dropout(0.3)(x)
text_in = Input(shape=(6,))
tok = Tokenizer(num_words=20, lower=True)
texts = ['a small cat', 'the big dog runs', 'a cat and a dog', 'no animals here']
tok.fit_on_texts(texts)
seqs = pad_sequences(tok.texts_to_sequences(texts), maxlen=6, padding='post')
t = SpatialDropout1D(0.2)(Embedding(20, 3, mask_zero=False)(text_in))
x = Concatenate()([x, Flatten()(t)])
x = Dense(8, activation='relu')(x)
out = Dense(1)(x)
bias = Flatten()(Embedding(n_users, 1)(user_in))
model = Model([user_in, item_in, text_in], Add()([out, bias]))
model.compile(Adamax(0.01), loss='mse')
a = np.random.randint(0, 8, 4), np.random.randint(0, 9, 4), seqs
h = model.fit(list(a), np.random.rand(4), epochs=2, batch_size=2, verbose=2)
print('rmse', np.sqrt(h.history['loss'][-1]) > 0)
