# %% resnet
import numpy as np

import convia as keras
from convia import Sequential
from convia.applications.resnet import ResNet50
from convia.layers import Dense, GlobalAveragePooling2D

backbone = ResNet50(input_shape=(150, 150, 3), weights=None, include_top=False)
print(f"{backbone.count_params():,} weights, output {backbone.output_shape}")
#> 23,587,712 weights, output (None, 5, 5, 2048)

# %% freeze
backbone.trainable = False

model = Sequential()
model.add(backbone)
model.add(GlobalAveragePooling2D())
model.add(Dense(12, activation="softmax"))

print(
    "weights that learn:",
    sum(w.numel() for w in model.trainable_weights),
    "=",
    2048 * 12 + 12,
)
#> weights that learn: 24588 = 24588

# %% shapes
from PIL import Image, ImageDraw

rng = np.random.default_rng(0)
OUTLINES = {  # corners, the middle at 0 and the edges at ±1
    "square": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
    "triangle": [(0, -1), (1, 1), (-1, 1)],
    "bar": [(-0.4, -1), (0.4, -1), (0.4, 1), (-0.4, 1)],
    "plank": [(-1, -0.4), (1, -0.4), (1, 0.4), (-1, 0.4)],
    "corner": [(-1, -1), (-0.3, -1), (-0.3, 0.3), (1, 0.3), (1, 1), (-1, 1)],
    "diamond": [(0, -1), (1, 0), (0, 1), (-1, 0)],
    "hourglass": [(-1, -1), (1, -1), (-1, 1), (1, 1)],
    "arrow": [(0, -1), (1, 0), (0.4, 0), (0.4, 1), (-0.4, 1), (-0.4, 0), (-1, 0)],
    "T": [
        (-1, -1),
        (1, -1),
        (1, -0.4),
        (0.4, -0.4),
        (0.4, 1),
        (-0.4, 1),
        (-0.4, -0.4),
        (-1, -0.4),
    ],
}


def draw(kind, side=24):
    image = Image.new("L", (side, side))
    radius = rng.uniform(5, 9)
    x, y = rng.uniform(radius, side - radius, 2)
    ImageDraw.Draw(image).polygon(
        [(x + radius * a, y + radius * b) for a, b in OUTLINES[kind]], fill=255
    )
    return np.array(image) / 255 * rng.uniform(0.5, 1) + rng.normal(
        0, 0.15, (side, side)
    )


def drawn(kinds, count):
    labels = np.arange(count) % len(kinds)
    return np.stack([draw(kinds[label]) for label in labels])[..., None].astype(
        "float32"
    ), labels


# %% tasks
first, second = list(OUTLINES)[:5], list(OUTLINES)[5:]
first_x, first_y = drawn(first, 1200)
few_x, few_y = drawn(second, 20)
test_x, test_y = drawn(second, 400)
print(first, second)
#> ['square', 'triangle', 'bar', 'plank', 'corner'] ['diamond', 'hourglass', 'arrow', 'T']

# %% picture
names = dict(enumerate(second))
keras.visualization.plot_image_gallery(
    np.repeat(few_x[:8], 3, -1),
    few_y[:8],
    label_map=names,
    rows=2,
    cols=4,
    value_range=(-0.5, 1.5),
    scale=1.4,
    dpi=72,
    path="outlines.png",
)

# %% backbone
from convia.layers import Conv2D, GlobalMaxPooling2D, MaxPooling2D


def untrained():
    return Sequential(
        [
            keras.Input((24, 24, 1)),
            Conv2D(16, 5, padding="same", activation="relu"),
            MaxPooling2D(),
            Conv2D(32, 3, padding="same", activation="relu"),
            MaxPooling2D(),
            Conv2D(64, 3, padding="same", activation="relu"),
            GlobalMaxPooling2D(),
        ]
    )


def with_head(backbone, classes, rate):
    model = Sequential([backbone, Dense(classes, activation="softmax")])
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["acc"]
    )
    return model


keras.utils.set_random_seed(0)
trained = untrained()
history = with_head(trained, 5, rate=0.003).fit(first_x, first_y, epochs=15, verbose=0)
print(f"first task: {history.history['acc'][-1]:.2f}")
#> first task: 1.00


# %% compare
def second_task(backbone, learns, rate):
    keras.utils.set_random_seed(5)
    backbone.trainable = learns
    model = with_head(backbone, 4, rate)
    model.fit(few_x, few_y, batch_size=5, epochs=60, verbose=0)
    return model.evaluate(test_x, test_y, verbose=0)[1]


print(f"random, frozen    {second_task(untrained(), False, rate=0.01):.2f}")
print(f"random, learns    {second_task(untrained(), True, rate=0.003):.2f}")
print(f"trained, frozen   {second_task(trained, False, rate=0.01):.2f}")
#> random, frozen    0.51
#> random, learns    0.77
#> trained, frozen   0.90

# %% frozen
before = [w.copy() for w in trained.get_weights()]
second_task(trained, learns=False, rate=0.01)
print(
    all(
        np.array_equal(a, b) for a, b in zip(before, trained.get_weights(), strict=True)
    )
)
#> True

# %% transfer
keras.utils.set_random_seed(1)
trained.trainable = True
model = keras.transfer(
    trained,
    classes=4,
    x=few_x,
    y=few_y,
    batch_size=5,
    epochs=60,
    fine_tune_epochs=30,
    learning_rate=0.01,
    dropout=0,
    verbose=0,
)
print(f"head, then fine-tuned: {model.evaluate(test_x, test_y, verbose=0)[1]:.2f}")
#> head, then fine-tuned: 0.90
