# expect: Best:
import numpy
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.preprocessing import LabelEncoder
from keras.models import Sequential
from keras.layers import Dense
from keras.wrappers.scikit_learn import KerasClassifier, KerasRegressor
from keras.utils import np_utils


def create_model(optimizer='rmsprop', init='glorot_uniform'):
    model = Sequential()
    model.add(Dense(6, input_dim=4, init=init, activation='relu'))
    model.add(Dense(3, init=init, activation='softmax'))
    model.compile(loss='categorical_crossentropy', optimizer=optimizer, metrics=['accuracy'])
    return model


seed = 7
numpy.random.seed(seed)
X = numpy.random.rand(30, 4)
Y = numpy.array(['setosa', 'versicolor', 'virginica'] * 10)
encoder = LabelEncoder()
encoder.fit(Y)
dummy_y = np_utils.to_categorical(encoder.transform(Y))
model = KerasClassifier(build_fn=create_model, verbose=0)
grid = GridSearchCV(estimator=model, param_grid=dict(optimizer=['rmsprop', 'adam'], nb_epoch=[1], batch_size=[10]), cv=2)
grid_result = grid.fit(X, encoder.transform(Y))
print("Best: %f using %s" % (grid_result.best_score_, grid_result.best_params_))


def baseline():
    m = Sequential()
    m.add(Dense(5, input_dim=4, init='normal', activation='relu'))
    m.add(Dense(1, init='normal'))
    m.compile(loss='mean_squared_error', optimizer='adam')
    return m


estimator = KerasRegressor(build_fn=baseline, nb_epoch=1, batch_size=5, verbose=0)
results = cross_val_score(estimator, X, numpy.random.rand(30), cv=2)
print("Results: %.2f (%.2f) MSE" % (results.mean(), results.std()))
