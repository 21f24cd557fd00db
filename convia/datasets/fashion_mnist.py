"""Fashion-MNIST: photographs of clothes, 28×28 (Xiao, Rasul and Vollgraf, 2017; MIT licence)."""

from convia.datasets._sources import FASHION, Split, load, read_idx

CLASS_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


def load_data() -> Split:
    """Return ``(x_train, y_train), (x_test, y_test)``: 60,000 and 10,000 images as uint8 (N, 28, 28), labels (N,).

    Raises:
        ConnectionError: not in the cache, and no source can be reached; the message says what to put where.
    """
    arrays = {key: load(source, read_idx) for key, source in FASHION.items()}
    return (
        (arrays["train", "images"], arrays["train", "labels"]),
        (arrays["test", "images"], arrays["test", "labels"]),
    )
