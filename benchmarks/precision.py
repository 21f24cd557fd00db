"""Training in bfloat16 with weights and sums in float32 (``mixed_bfloat16``): what it does to accuracy and to time.

The course's deep network learns digits with both policies, from the same weights and in the same order, for several
seeds. Printed per seed: test accuracy of both; then their means, the time of an epoch, and how many classes change
where weights that learned in float32 predict in bfloat16.

Usage: python benchmarks/precision.py [--seeds 5] [--epochs 12] [--mnist]
Quick: --seeds 1 --epochs 1
"""

import argparse
import time
from typing import Any

import numpy as np

import convia as keras

POLICIES = ("float32", "mixed_bfloat16")


def data(mnist: bool) -> Any:
    """Return images from 0 to 1 with a channel, and labels; for training, then for testing."""
    loaded = (keras.datasets.mnist if mnist else keras.datasets.digits).load_data()
    most = 255 if mnist else 16
    return [((x[..., None] / most).astype("float32"), y.astype("int64")) for x, y in loaded]


def network(policy: str, shape: Any) -> Any:
    """Make the network; weights are the same for the same seed."""
    keras.mixed_precision.set_global_policy(policy)
    model = keras.applications.deep(shape)
    keras.mixed_precision.set_global_policy("float32")
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def learned(policy: str, seed: int, train: Any, epochs: int) -> tuple[Any, float]:
    """Return a trained network and the seconds of an epoch."""
    keras.utils.set_random_seed(seed)
    model = network(policy, train[0].shape[1:])
    start = time.perf_counter()
    model.fit(*train, epochs=epochs, batch_size=64, verbose=0)
    return model, (time.perf_counter() - start) / epochs


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--mnist", action="store_true")
    options = parser.parse_args()
    train, test = data(options.mnist)
    accuracies, seconds, changed = [], [], []
    for seed in range(options.seeds):
        models, times = zip(*(learned(policy, seed, train, options.epochs) for policy in POLICIES), strict=True)
        found = [model.predict(test[0], verbose=0).argmax(1) for model in models]
        accuracies.append([float((classes == test[1]).mean()) for classes in found])
        seconds.append(times)
        twin = network(POLICIES[1], train[0].shape[1:])
        twin.set_weights(models[0].get_weights())
        changed.append(float((twin.predict(test[0], verbose=0).argmax(1) != found[0]).mean()))
        print(
            f"seed {seed}  " + "  ".join(f"{p} {a:.2%}" for p, a in zip(POLICIES, accuracies[-1], strict=True)),
            flush=True,
        )
    means = np.mean(accuracies, 0)
    print(f"mean    {means[0]:.2%} and {means[1]:.2%}: {100 * (means[1] - means[0]):+.2f} points")
    one, other = np.median(seconds, 0)
    print(f"an epoch: {one:.2f} s and {other:.2f} s; classes that change in bfloat16: {np.mean(changed):.2%}")


if __name__ == "__main__":
    main()
