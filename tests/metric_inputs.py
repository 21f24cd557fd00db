"""What the tests of metrics share: random labels and predictions, and arguments that metrics cannot do without."""

import numpy as np

rng = np.random.default_rng(0)
REQUIRED = {
    "IoU": {"num_classes": 3, "target_class_ids": [0, 2]},
    "MeanIoU": {"num_classes": 3},
    "OneHotIoU": {"num_classes": 3, "target_class_ids": [1]},
    "OneHotMeanIoU": {"num_classes": 3},
    "PrecisionAtRecall": {"recall": 0.6},
    "RecallAtPrecision": {"precision": 0.6},
    "SensitivityAtSpecificity": {"specificity": 0.6},
    "SpecificityAtSensitivity": {"sensitivity": 0.6},
}


def floats(*shape, low=0.02, high=0.98):
    return rng.uniform(low, high, shape).astype("float32")


def classes(count, *shape):
    return rng.integers(0, count, shape)


def one_hot(count, *shape):
    return np.eye(count, dtype="float32")[classes(count, *shape)]
