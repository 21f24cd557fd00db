"""Transfer learning: a trained network learns new classes from few pictures.

::

    backbone = convia.applications.ResNet50(include_top=False, input_shape=(160, 160, 3), pooling="avg")
    model = convia.transfer(backbone, classes=5, x=pictures, y=labels)
"""

from typing import Any

import numpy as np

from convia.applications.imagenet_utils import preprocess_input
from convia.errors import explain
from convia.graph import Input
from convia.layers import BatchNormalization, Concatenate, Dense, Dropout, GlobalAveragePooling2D, Rescaling
from convia.models import Model
from convia.optimizers import Adam

__all__ = ["SLOWER", "below_the_top", "classifier", "freeze", "transfer"]

SLOWER = 0.1  # fine-tuning's learning rate, as a part of that of the head
_TOP = 0.2  # of the layers with weights, which are fine-tuned unless something else is said


def transfer(
    backbone: Any,
    classes: int,
    x: Any,
    y: Any = None,
    *,
    validation_data: Any = None,
    epochs: int = 10,
    fine_tune_epochs: int = 5,
    until: str | None = None,
    learning_rate: float = 1e-3,
    dropout: float = 0.2,
    augmentation: Any = None,
    cache_features: Any = True,
    **fit: Any,
) -> Model:
    """Put a new head on a trained network, train it, then fine-tune the top of the network at a tenth of the rate.

    Args:
        backbone: a network without its top: from :mod:`convia.applications`, or any model with pictures as input.
        classes: how many there are.
        x: pictures (N, height, width, 3) with values of 0…255, or what yields batches of them with labels.
        y: class numbers, or one-hot rows.
        validation_data: as for ``fit``.
        epochs, fine_tune_epochs: of the head alone, and then of the head and the top.
        until: name of the last layer that stays frozen; by default a fifth of the layers with weights is fine-tuned.
        learning_rate: of Adam, for the head.
        dropout: rate before the classifier.
        augmentation: a layer that changes pictures at random.
        cache_features: see ``Model.cache_features``.
        fit: further arguments of ``fit``.

    Returns:
        The model; ``model.history`` has the epochs of both parts.

    Raises:
        ValueError: no such layer, or a backbone that still has its top.
    """
    model = classifier(backbone, classes, dropout, augmentation)
    model.cache_features = cache_features
    loss = f"{'' if _is_one_hot(x, y) else 'sparse_'}categorical_crossentropy"
    fit |= {"x": x, "y": y, "validation_data": validation_data}

    freeze(backbone)
    model.compile(Adam(learning_rate), loss, metrics=["accuracy"])
    first = model.fit(epochs=epochs, **fit)

    if fine_tune_epochs and not model.stop_training:
        freeze(backbone, until=until or below_the_top(backbone))
        model.compile(Adam(learning_rate * SLOWER), loss, metrics=["accuracy"])
        second = model.fit(initial_epoch=epochs, epochs=epochs + fine_tune_epochs, **fit)
        second.epoch = first.epoch + second.epoch
        second.history = {name: first.history.get(name, []) + values for name, values in second.history.items()}
    return model


def classifier(
    backbone: Any,
    classes: int,
    dropout: float = 0.2,
    augmentation: Any = None,
    *,
    largest: float = 255.0,
    channels: int | None = None,
    is_trained: bool = True,
) -> Model:
    """Return a model of pictures that ends in a probability per class, with a new head on a network.

    Pictures are prepared as the network was trained with, where that is known. A trained one always normalizes by its
    moving averages, also while its top is fine-tuned.

    Args:
        backbone, classes, dropout, augmentation: see :func:`transfer`.
        largest: value of a white pixel.
        channels: of the pictures; one channel becomes three equal ones.
        is_trained: False for a network with random weights, which is to learn from the beginning.

    Raises:
        ValueError: a backbone that still has its top, or whose output is neither a feature map nor a vector.
    """
    who, source = "transfer, argument 'backbone'", backbone.inputs[0]
    published = getattr(source.node.operation, "published", None)
    if "predictions" in backbone.layers[-1].name:
        remedy = "Make it with include_top=False."
        raise ValueError(explain(who, f"{backbone.name!r} with its classifier", "the part below it", remedy))
    if len(backbone.output_shape) not in (2, 4):
        expected = "a feature map (N, height, width, channels) or a vector (N, channels)"
        raise ValueError(explain(who, f"an output of shape {backbone.output_shape}", expected))
    *sides, last = backbone.input_shape[1:]
    x = inputs = Input((*sides, channels or last))
    x = Concatenate()([x] * last) if channels == 1 and last == 3 else x
    x = x if largest == 255.0 else Rescaling(255 / largest)(x)
    x = augmentation(x) if augmentation is not None else x
    x = preprocess_input(x, mode=published.mode) if published is not None and published.mode else x
    x = backbone(x, training=False) if is_trained else backbone(x)
    x = GlobalAveragePooling2D()(x) if len(x.shape) == 4 else x
    x = Dropout(dropout)(x) if dropout else x
    return Model(inputs, Dense(classes, activation="softmax", name="predictions")(x), name=f"{backbone.name}_transfer")


def freeze(model: Any, until: str | None = None) -> None:
    """Keep the weights of a model as they are, of all layers or up to and with the one named ``until``.

    The layers after that one learn, except that every BatchNormalization stays frozen: its statistics are those of the
    many pictures the network was trained with. Call ``compile`` afterwards.

    Raises:
        ValueError: no layer of that name.
    """
    if until is None:
        model.trainable = False
        return
    place = model.layers.index(model.get_layer(until))
    model.trainable = True
    for number, layer in enumerate(model.layers):
        layer.trainable = number > place and not isinstance(layer, BatchNormalization)


def below_the_top(backbone: Any) -> str:
    """Return the name of the last layer below those that are fine-tuned by default.

    Raises:
        ValueError: no layer has weights.
    """
    weighty = [layer for layer in backbone.layers if layer.weights and not isinstance(layer, BatchNormalization)]
    if not weighty:
        raise ValueError(
            explain("transfer, argument 'backbone'", f"{backbone.name!r} without weights", "a trained one")
        )
    first = weighty[-max(1, round(_TOP * len(weighty)))]
    name: str = backbone.layers[backbone.layers.index(first) - 1].name
    return name


def _is_one_hot(x: Any, y: Any) -> bool:
    if y is not None:
        return np.ndim(y) == 2 and np.shape(y)[1] > 1
    return "categorical" in (getattr(x, "class_mode", None), getattr(x, "label_mode", None))
