"""``mixed_bfloat16``, weights in float32 and the rest in bfloat16: what it does to accuracy and to time on a CPU.

The course's deep network learns digits in three ways, from the same weights and in the same order, for several seeds:
``float32``, by the engine; ``mixed_bfloat16``, by the engine, which computes it in float32; and ``bfloat16 in torch``,
the same policy with ``engine="torch"``, whose layers round to bfloat16. Printed per seed: test accuracy of each; then
the means and their differences from float32, the time of an epoch, and how many classes change where weights that
learned in float32 predict in torch's bfloat16.

Usage: python benchmarks/precision.py [--seeds 5] [--epochs 12] [--mnist] [--images 60000]
Quick: --seeds 1 --epochs 1
"""

import argparse
import time
from typing import Any, NamedTuple

import numpy as np

import convia as keras


class Way(NamedTuple):
    """How a network is computed."""

    name: str
    policy: str
    engine: str


FLOAT32, BY_ENGINE, BY_TORCH = WAYS = (
    Way("float32", "float32", "native"),
    Way("mixed_bfloat16", "mixed_bfloat16", "native"),
    Way("bfloat16 in torch", "mixed_bfloat16", "torch"),
)


def data(mnist: bool, most: int) -> Any:
    """Return images from 0 to 1 with a channel, and labels; for training (so many at most), then for testing."""
    loaded = (keras.datasets.mnist if mnist else keras.datasets.digits).load_data()
    brightest = 255 if mnist else 16
    train, test = [((x[..., None] / brightest).astype("float32"), y.astype("int64")) for x, y in loaded]
    return [part[:most] for part in train], test


def network(way: Way, shape: Any) -> Any:
    """Make the network; weights are the same for the same seed."""
    keras.mixed_precision.set_global_policy(way.policy)
    model = keras.applications.deep(shape)
    keras.mixed_precision.set_global_policy("float32")
    adam, loss = keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy"
    model.compile(adam, loss, metrics=["accuracy"], engine=way.engine)
    return model


def learned(way: Way, seed: int, train: Any, epochs: int) -> tuple[Any, float]:
    """Return a trained network and the seconds of an epoch."""
    keras.utils.set_random_seed(seed)
    model = network(way, train[0].shape[1:])
    start = time.perf_counter()
    model.fit(*train, epochs=epochs, batch_size=64, verbose=0)
    return model, (time.perf_counter() - start) / epochs


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--mnist", action="store_true")
    parser.add_argument("--images", type=int, default=60000, help="for training, at most")
    options = parser.parse_args()
    train, test = data(options.mnist, options.images)
    accuracies, seconds, changed = [], [], []
    for seed in range(options.seeds):
        models, times = zip(*(learned(way, seed, train, options.epochs) for way in WAYS), strict=True)
        found = [model.predict(test[0], verbose=0).argmax(1) for model in models]
        accuracies.append([float((classes == test[1]).mean()) for classes in found])
        seconds.append(times)
        twin = network(BY_TORCH, train[0].shape[1:])
        twin.set_weights(models[0].get_weights())
        changed.append(float((twin.predict(test[0], verbose=0).argmax(1) != found[0]).mean()))
        print(f"seed {seed}  " + "  ".join(f"{w.name} {a:.2%}" for w, a in zip(WAYS, accuracies[-1], strict=True)))
    means, medians = np.mean(accuracies, 0), np.median(seconds, 0)
    for way, mean, median in zip(WAYS, means, medians, strict=True):
        points = f"{100 * (mean - means[0]):+.2f} points" if way != FLOAT32 else ""
        print(f"{way.name:18s} mean {mean:.2%}  {points:13s}  an epoch {median:.2f} s")
    print(f"classes that change where float32's weights predict in torch's bfloat16: {np.mean(changed):.2%}")


if __name__ == "__main__":
    main()
