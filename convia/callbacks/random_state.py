"""The state of all random generators as plain arrays, which a file can hold without pickle."""

import json
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from convia.random import SeedGenerator, living


def seed_generators(model: Any) -> list[SeedGenerator]:
    """Return the seed generators that a model's layers hold, in the order of its modules."""
    modules = model.modules() if isinstance(model, torch.nn.Module) else [model]
    values = (value for module in modules for value in vars(module).values())
    return list({id(value): value for value in values if isinstance(value, SeedGenerator)}.values())


def random_state(model: Any) -> dict[str, np.ndarray]:
    """Return the states of Python's, NumPy's and torch's generators, and of the seed generators.

    Beside the model's own these are the program's others, such as those of layers that change images in a data set.
    """
    own = seed_generators(model)
    others = {number: made for number, made in living().items() if all(made is not one for one in own)}
    numbers = {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=False),
        "seeds": [generator.state.tolist() for generator in own],
        "others": {number: generator.state.tolist() for number, generator in others.items()},
    }
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return {
        "numbers": np.array(json.dumps(numbers, default=np.ndarray.tolist)),
        "torch": torch.get_rng_state().numpy(),
        **{f"cuda{place}": state.numpy() for place, state in enumerate(devices)},
    }


def set_random_state(state: Mapping[str, np.ndarray], model: Any) -> None:
    """Put the generators back into a state; those of devices that are not here are left out."""
    numbers = json.loads(str(state["numbers"]))
    version, internal, gauss = numbers["python"]
    random.setstate((version, tuple(internal), gauss))
    numpy_state = numbers["numpy"]
    numpy_state["state"]["key"] = np.array(numpy_state["state"]["key"], np.uint32)
    np.random.set_state(numpy_state)
    others = living()
    for number, seed in numbers.get("others", {}).items():
        if int(number) in others:
            others[int(number)].state = seed
    for generator, seed in zip(seed_generators(model), numbers["seeds"], strict=False):
        generator.state = seed
    torch.set_rng_state(torch.from_numpy(state["torch"]))
    for place in range(torch.cuda.device_count()):
        if f"cuda{place}" in state:
            torch.cuda.set_rng_state(torch.from_numpy(state[f"cuda{place}"]), place)
