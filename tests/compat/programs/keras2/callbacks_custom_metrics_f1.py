# expect: — val_f1:
import numpy as np
from keras.callbacks import Callback
from keras.models import Sequential
from keras.layers import Dense
from sklearn.metrics import f1_score, roc_auc_score
from keras import backend as K


def precision(y_true, y_pred):
    true_positives = K.sum(K.round(K.clip(y_true * y_pred, 0, 1)))
    predicted_positives = K.sum(K.round(K.clip(y_pred, 0, 1)))
    return true_positives / (predicted_positives + K.epsilon())


def mean_pred(y_true, y_pred):
    return K.mean(y_pred)


class Metrics(Callback):
    def on_train_begin(self, logs={}):
        self.val_f1s = []
        assert self.params['epochs'] == 2 and 'metrics' in self.params and self.params['samples'] == 24, self.params

    def on_epoch_end(self, epoch, logs={}):
        val_predict = (np.asarray(self.model.predict(self.validation_data[0]))).round()
        val_targ = self.validation_data[1]
        _val_f1 = f1_score(val_targ, val_predict)
        self.val_f1s.append(_val_f1)
        print(" — val_f1: %f" % _val_f1)
        return


class NBatchLogger(Callback):
    def __init__(self, display=2):
        self.seen = 0
        self.display = display

    def on_batch_end(self, batch, logs={}):
        self.seen += logs.get('size', 0)
        if batch % self.display == 0:
            print('\n{}/{} - loss {}'.format(self.seen, self.params['samples'], logs.get('loss')))


metrics = Metrics()
logger = NBatchLogger()
model = Sequential([Dense(4, input_dim=3), Dense(1, activation='sigmoid')])
model.compile('adam', 'binary_crossentropy', metrics=['acc', precision, mean_pred])
X, y = np.random.rand(24, 3), np.random.randint(0, 2, 24)
h = model.fit(X, y, validation_data=(X, y), epochs=2, batch_size=8, callbacks=[metrics, logger], verbose=0)
assert logger.seen == 48
assert {'precision', 'mean_pred', 'acc', 'val_precision'} <= set(h.history)
