# %% card
import convia as keras
from convia.applications import AlexNet, LeNet5, LeNet1989


def facts(network):
    known = network.card().facts
    weights, operations = known["parameters"]["total"], known["multiply_adds"]["total"]
    return f"{network.name:12} {weights:12,} weights {operations / 1e6:8.1f} million multiplications"


print(facts(LeNet1989()))
print(facts(LeNet5()))
alexnet = AlexNet()
print(facts(alexnet))
#> lenet_1989          9,760 weights      0.1 million multiplications
#> lenet5             60,850 weights      0.4 million multiplications
#> alexnet        60,965,224 weights    724.4 million multiplications

# %% layers
known = alexnet.card().facts
for layer in known["layers"]:
    if layer["parameters"]:
        share = layer["parameters"] / known["parameters"]["total"]
        work = layer["multiply_adds"] / known["multiply_adds"]["total"]
        print(
            f"{layer['name']:12} {share:6.1%} of the weights {work:6.1%} of the multiplications"
        )
#> conv1          0.1% of the weights  14.6% of the multiplications
#> conv2          0.5% of the weights  30.9% of the multiplications
#> conv3          1.5% of the weights  20.6% of the multiplications
#> conv4          1.1% of the weights  15.5% of the multiplications
#> conv5          0.7% of the weights  10.3% of the multiplications
#> fc6           61.9% of the weights   5.2% of the multiplications
#> fc7           27.5% of the weights   2.3% of the multiplications
#> predictions    6.7% of the weights   0.6% of the multiplications

# %% speed
import time

import numpy as np


def images_per_second(network, batch=2, rounds=3):
    images = np.random.default_rng(0).random(
        (batch, *network.input_shape[1:]), dtype="float32"
    )
    network.predict(images, batch_size=batch, verbose=0)
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        network.predict(images, batch_size=batch, verbose=0)
        seconds.append(time.perf_counter() - start)
    return batch / min(seconds)


print(images_per_second(LeNet5()) > images_per_second(alexnet))
#> True

# %% measured
MEASURED = [  # name, year, million weights, million multiplications, images per second, % right on ImageNet
    ("LeNet1989", 1989, 0.00976, 0.0829, 6700, None),
    ("LeNet5", 1998, 0.0609, 0.418, 4150, None),
    ("AlexNet", 2012, 61, 724, 75.1, 59.3),
    ("ZFNet", 2013, 62.4, 1170, 56.1, 61.6),
    ("VGG16", 2014, 138, 15500, 3.7, 71.3),
    ("GoogLeNet", 2014, 7, 1580, 12.8, None),
    ("InceptionV3", 2015, 23.9, 5710, 19.8, 77.9),
    ("ResNet50", 2015, 25.6, 3860, 25.3, 74.9),
    ("Xception", 2016, 22.9, 8360, 10.5, 79.0),
    ("DenseNet121", 2016, 8.06, 2830, 28.4, 75.0),
    ("NASNetMobile", 2017, 5.33, 564, 41.3, 74.4),
    ("MobileNetV2", 2018, 3.54, 301, 100, 71.3),
    ("EfficientNetB0", 2019, 5.33, 386, 74.7, 77.1),
    ("EfficientNetV2B0", 2021, 7.2, 718, 74.5, 78.7),
    ("ConvNeXtTiny", 2022, 28.6, 4460, 23.9, 81.3),
]

# %% table
print("network           year  weights/M  multiplications/M  images/s  ImageNet/%")
for name, year, weights, work, speed, right in MEASURED:
    print(f"{name:16}  {year}  {weights:9g}  {work:17g}  {speed:8g}  {right or '':10}")
#> network           year  weights/M  multiplications/M  images/s  ImageNet/%
#> LeNet1989         1989    0.00976             0.0829      6700
#> LeNet5            1998     0.0609              0.418      4150
#> AlexNet           2012         61                724      75.1        59.3
#> ZFNet             2013       62.4               1170      56.1        61.6
#> VGG16             2014        138              15500       3.7        71.3
#> GoogLeNet         2014          7               1580      12.8
#> InceptionV3       2015       23.9               5710      19.8        77.9
#> ResNet50          2015       25.6               3860      25.3        74.9
#> Xception          2016       22.9               8360      10.5        79.0
#> DenseNet121       2016       8.06               2830      28.4        75.0
#> NASNetMobile      2017       5.33                564      41.3        74.4
#> MobileNetV2       2018       3.54                301       100        71.3
#> EfficientNetB0    2019       5.33                386      74.7        77.1
#> EfficientNetV2B0  2021        7.2                718      74.5        78.7
#> ConvNeXtTiny      2022       28.6               4460      23.9        81.3

# %% picture
import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(7.5, 4.4))
for name, year, weights, _, speed, right in MEASURED:
    if right:
        axes.scatter(speed, right, s=15 + 8 * weights, alpha=0.6)
        axes.annotate(
            f"{name} {year}",
            (speed, right),
            xytext=(0, -12 if name == "ResNet50" else 6),
            textcoords="offset points",
            fontsize=8,
        )
axes.set(xscale="log", xlabel="images / s", ylabel="% (ImageNet)")
figure.savefig("hall_of_fame.png")
plt.close(figure)

# %% predict
from matplotlib.cbook import get_sample_data

from convia.applications.inception_v3 import (
    InceptionV3,
    decode_predictions,
    preprocess_input,
)
from convia.preprocessing import image

img = image.load_img(
    get_sample_data("grace_hopper.jpg", asfileobj=False), target_size=(299, 299)
)
x = image.img_to_array(img)
x = np.expand_dims(x, axis=0)
x = preprocess_input(x)
print(x.shape, x.min(), x.max())

keras.utils.set_random_seed(1)
model = InceptionV3(weights=None)
preds = model.predict(x, verbose=0)
for number, name, probability in decode_predictions(preds, top=3)[0]:
    print(number, name, f"{probability:.3f}")
#> (1, 299, 299, 3) -1.0 1.0
#> n07892512 red_wine 0.001
#> n03717622 manhole_cover 0.001
#> n02412080 ram 0.001
