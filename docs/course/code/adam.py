# %% surface
import numpy as np
import torch

import convia as keras
from convia.optimizers import SGD, Adam


def loss(w):
    return 0.5 * (w[0] ** 2 + 25 * w[1] ** 2) / 25


start = torch.tensor([-9.0, 2.5])
print(round(loss(start).item(), 2))
#> 4.74


# %% path
def path(optimizer, steps=60):
    w = keras.Variable(start, name="w")
    optimizer.build([w])
    points = [w.numpy().copy()]
    for _ in range(steps):
        w.grad = None
        loss(w).backward()
        optimizer.apply([w.grad], [w])
        points.append(w.numpy().copy())
    return np.array(points)


paths = {
    "SGD 0.3": path(SGD(0.3)),
    "SGD 1.9": path(SGD(1.9)),
    "SGD 2.1": path(SGD(2.1)),
    "momentum": path(SGD(0.3, momentum=0.9)),
    "Adam": path(Adam(0.5)),
}
for name, points in paths.items():
    print(f"{name:9} loss after 60 steps {loss(points[-1]):.2g}")
#> SGD 0.3   loss after 60 steps 0.38
#> SGD 1.9   loss after 60 steps 0.00013
#> SGD 2.1   loss after 60 steps 2.9e+05
#> momentum  loss after 60 steps 0.0071
#> Adam      loss after 60 steps 0.006

# %% picture
import matplotlib.pyplot as plt

x, y = np.meshgrid(np.linspace(-10, 5, 120), np.linspace(-4, 4, 80))
figure, axes = plt.subplots(1, 4, figsize=(11, 2.9), sharey=True)
for axis, name in zip(axes, ["SGD 0.3", "SGD 1.9", "momentum", "Adam"], strict=True):
    axis.contour(
        x,
        y,
        loss((x, y)),
        levels=np.geomspace(0.01, 8, 12),
        colors="#d5dae0",
        linewidths=0.9,
    )
    axis.plot(*paths[name].T, ".-", color="#0072b2", linewidth=1, markersize=4)
    axis.plot(0, 0, "*", color="#d55e00", markersize=12)
    axis.set(title=name, xlim=(-10, 5), ylim=(-4, 4))
figure.savefig("adam.png")
plt.close(figure)


# %% formula
def adam(gradients, rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    w = m = v = 0.0
    for t, g in enumerate(gradients, 1):
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        w -= (
            rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (np.sqrt(v) + epsilon)
        )
    return w


gradients = [3.0, -1.0, 0.5, 0.2]
optimizer, w = Adam(), keras.Variable(torch.tensor(0.0))
for g in gradients:
    optimizer.apply([torch.tensor(g)], [w])
print(f"{adam(gradients):.6f} {w.numpy():.6f}")
#> -0.002173 -0.002173

# %% scale
for factor in (1, 100):
    print(f"{adam([factor * g for g in gradients]):.6f}")
#> -0.002173
#> -0.002173

# %% network
(x_train, y_train), _ = keras.datasets.digits.load_data()
x_train = x_train[..., None].astype("float32") / 16

for name, optimizer in {
    "sgd": "sgd",
    "adam": "adam",
    "Adam(0.01)": Adam(learning_rate=0.01),
}.items():
    keras.utils.set_random_seed(1)
    model = keras.applications.lenet(input_shape=(8, 8, 1), classes=10)
    model.compile(
        optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["acc"]
    )
    history = model.fit(x_train, y_train, epochs=5, verbose=0)
    print(f"{name:10} accuracy {history.history['acc'][-1]:.2f}")
#> sgd        accuracy 0.7
#> adam       accuracy 1.0
#> Adam(0.01) accuracy 1.0
