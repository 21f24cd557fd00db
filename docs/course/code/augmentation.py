# %% photograph
import numpy as np
from matplotlib.cbook import get_sample_data
from PIL import Image

from convia.images.preview import preview
from convia.preprocessing.image import ImageDataGenerator

with Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)) as file:
    photograph = np.array(file.convert("RGB").resize((128, 150)), "float32")
print(photograph.shape)
#> (150, 128, 3)

# %% one
datagen = ImageDataGenerator(vertical_flip=True)
np.random.seed(3)
flipped = [datagen.random_transform(photograph) for _ in range(6)]
print([bool(np.array_equal(x, photograph[::-1])) for x in flipped])
#> [False, False, False, True, True, True]

# %% kinds
kinds = {
    "rotation": {"rotation_range": 40},
    "shift": {"width_shift_range": 0.25, "height_shift_range": 0.25},
    "zoom": {"zoom_range": 0.4},
    "shear": {"shear_range": 30},
    "flip": {"horizontal_flip": True},
    "brightness": {"brightness_range": (0.4, 1.6)},
    "contrast": {"contrast_range": (0.4, 1.8)},
    "blur": {"blur_range": (0, 3)},
    "noise": {"noise_range": 40},
    "colour": {"channel_shift_range": 80},
}

# %% gallery
import matplotlib.pyplot as plt

figure, axes = plt.subplots(2, 5, figsize=(9, 4.6))
for axis, (name, options) in zip(axes.flat, kinds.items(), strict=True):
    np.random.seed(8)
    changed = ImageDataGenerator(**options).random_transform(photograph)
    axis.imshow(np.clip(changed, 0, 255).astype("uint8"))
    axis.set_title(name)
    axis.axis("off")
figure.savefig("augmentation.jpg", pil_kwargs={"quality": 80})
plt.close(figure)

# %% several
datagen = ImageDataGenerator(
    rotation_range=15,
    width_shift_range=0.1,
    height_shift_range=0.1,
    zoom_range=0.15,
    horizontal_flip=True,
)
preview(datagen, photograph, n=11, seed=4).savefig(
    "preview.jpg", dpi=85, pil_kwargs={"quality": 75}
)

# %% generators
train_datagen = ImageDataGenerator(
    validation_split=0.25, rescale=1.0 / 255, rotation_range=15
)
validation_datagen = ImageDataGenerator(validation_split=0.25, rescale=1.0 / 255)

# %% experiment
import convia as keras

(x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
x_train, y_train = x_train[:200, ..., None].astype("float32"), y_train[:200]
x_test = x_test[..., None].astype("float32")

changes = ImageDataGenerator(
    rotation_range=15, width_shift_range=[-1, 0, 1], height_shift_range=[-1, 0, 1]
)
np.random.seed(0)
moved = np.stack([changes.random_transform(x) for x in x_test])


def accuracies(datagen, epochs=60):
    keras.utils.set_random_seed(3)
    model = keras.applications.lenet(input_shape=(8, 8, 1), classes=10)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["acc"])
    model.fit(
        datagen.flow(x_train, y_train, batch_size=20, seed=1), epochs=epochs, verbose=0
    )
    return [model.evaluate(x, y_test, verbose=0)[1] for x in (x_test, moved)]


for name, datagen in {"plain": ImageDataGenerator(), "augmented": changes}.items():
    centred, elsewhere = accuracies(datagen)
    print(f"{name:10} centred digits {centred:.2f}   moved and turned {elsewhere:.2f}")
#> plain      centred digits 0.94   moved and turned 0.47
#> augmented  centred digits 0.91   moved and turned 0.83
