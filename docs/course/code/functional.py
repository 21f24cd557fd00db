# %% sequential
import convia as keras
from convia import Input, Model, Sequential
from convia.layers import Concatenate, Conv2D, Dense, Flatten, MaxPooling2D

model = Sequential()
model.add(Dense(64, activation="relu", input_dim=784))
model.add(Dense(64, activation="relu"))
model.add(Dense(10, activation="softmax"))
print(model.count_params())
#> 55050

# %% functional
input = Input(shape=(784,))
x = Dense(64, activation="relu")(input)
x = Dense(64, activation="relu")(x)
output = Dense(10, activation="softmax")(x)
model = Model(inputs=input, outputs=output)
print(model.count_params())
#> 55050

# %% symbolic
print(x.shape, x.dtype)
#> (None, 64) float32

# %% two_outputs
import numpy as np

keras.utils.set_random_seed(1)
(x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
x_train, x_test = (x[..., None].astype("float32") / 16 for x in (x_train, x_test))

image = Input((8, 8, 1), name="image")
x = Conv2D(16, 3, padding="same", activation="relu")(image)
x = MaxPooling2D()(x)
x = Conv2D(32, 3, padding="same", activation="relu")(x)
features = Flatten()(x)
digit = Dense(10, activation="softmax", name="digit")(features)
ink = Dense(1, name="ink")(features)
model = Model(image, {"digit": digit, "ink": ink})

model.compile(
    "adam",
    loss={"digit": "sparse_categorical_crossentropy", "ink": "mse"},
    loss_weights={"digit": 1.0, "ink": 0.5},
    metrics={"digit": "accuracy"},
)
amount = x_train.mean((1, 2, 3))
model.fit(x_train, {"digit": y_train, "ink": amount}, epochs=10, verbose=0)
answers = model.predict(x_test[:1], verbose=0)
print({name: values.shape for name, values in answers.items()})
#> {'digit': (1, 10), 'ink': (1, 1)}

# %% drawing
from convia.models.plot import plot_model

drawn = plot_model(model, "two_outputs.svg", show_shapes=True)

# %% two_inputs
left, right = Input((8, 8, 1)), Input((8, 8, 1))
encode = Sequential(
    [
        Conv2D(16, 3, activation="relu"),
        MaxPooling2D(),
        Flatten(),
        Dense(32, activation="relu"),
    ]
)
joined = Concatenate()([encode(left), encode(right)])
same = Model([left, right], Dense(1, activation="sigmoid")(joined))
print(len(same.inputs), "inputs,", len(encode.weights), "weights in the shared part")
#> 2 inputs, 4 weights in the shared part

# %% shared
pairs = np.random.default_rng(0).permutation(len(x_train))
target = (y_train == y_train[pairs]).astype("float32")
same.compile("adam", "binary_crossentropy")
same.fit([x_train, x_train[pairs]], target, epochs=1, verbose=0)
print(same.predict([x_test[:3], x_test[:3]], verbose=0).shape)
#> (3, 1)

# %% operators
a, b = Input((4,)), Input((4,))
mean = Model([a, b], (a + b) / 2)
print(mean([np.ones((1, 4)), 3 * np.ones((1, 4))]))
#> tensor([[2., 2., 2., 2.]])
