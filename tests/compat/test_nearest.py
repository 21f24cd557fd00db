"""Names that are not there are named in the error, with the nearest that is."""

import importlib

import pytest

from convia.compat import programs


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("tensorflow.contrb", "'contrib'"),
        ("tensorflow.nn.conv2dd", "'conv2d'"),
        ("tensorflow.nn.fractional_pool", "nearest name is"),
        ("tensorflow.image.resize_image", "'resize_images'"),
        ("tensorflow.data.Datasets", "'Dataset'"),
        ("tensorflow.feature_column", "nearest name is"),
        ("tensorflow.raw_ops", "nearest name is"),
        ("tensorflow.linalg.inverse", "'inv'"),
        ("tensorflow.strings.splitt", "'split'"),
        ("tensorflow.sparse.add", "There is tensorflow"),
        ("tensorflow.estimator.Estimator", "Known: ModeKeys"),
        ("tensorflow.layers.conv4d", "'conv3d'"),
        ("tensorflow.losses.meen_squared_error", "'mean_squared_error'"),
        ("tensorflow.train.AdamOptimiser", "'AdamOptimizer'"),
        ("tensorflow.compat.v1.Sesion", "'Session'"),
        ("tensorflow.keras.optimizers.Adamm", "'Adam'"),
        ("tensorflow.keras.models.Sequental", "'Sequential'"),
        ("tensorflow.keras.applications.RegNetX002", "'ResNet50V2'"),
        ("keras.layers.Dence", "'Dense'"),
        ("keras.backend.squar", "'square'"),
        ("keras.callbacks.EarlyStop", "'EarlyStopping'"),
    ],
)
def test_the_nearest_name_is_said(path, text):
    with programs.using("tfkeras"):
        found = importlib.import_module(path.partition(".")[0])
        *places, name = path.split(".")[1:]
        for place in places:
            found = getattr(found, place)
        with pytest.raises(AttributeError, match=f"'{name}'.*{text}"):
            getattr(found, name)
