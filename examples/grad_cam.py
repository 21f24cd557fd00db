"""Explanation: where does the network look, and what do its layers see?

Grad-CAM shows which places speak for a class; occlusion covers parts of the image and watches the answer; feature maps
show what each layer makes of it.
"""

# %%
import matplotlib.pyplot as plt

import convia as keras

EPOCHS = 15
keras.utils.set_random_seed(1)

(x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
x_train, x_test = (x[..., None].astype("float32") / 16 for x in (x_train, x_test))

model = keras.applications.deep(input_shape=(8, 8, 1), classes=10)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x_train, y_train, epochs=EPOCHS, verbose=0)
print(f"test accuracy {model.evaluate(x_test, y_test, verbose=0)[1]:.1%}")

# %%
methods = {
    "Grad-CAM": keras.explain.grad_cam,
    "Grad-CAM++": keras.explain.grad_cam_plus_plus,
    "saliency": keras.explain.saliency,
    "occlusion": lambda model, image: keras.explain.occlusion(model, image, patch=3, stride=1),
}
figure, axes = plt.subplots(len(methods), 6, figsize=(8, 6))
for row, (name, method) in zip(axes, methods.items(), strict=True):
    for axis, image in zip(row, x_test, strict=False):
        axis.imshow(keras.explain.overlay(image, method(model, image)))
        axis.set(xticks=[], yticks=[])
    row[0].set_ylabel(name)
figure.savefig("explained.png")

# %%
keras.report.feature_maps(model, x_test[0]).savefig("maps.png")
