"""The three networks of the course, in the Keras API (for convia and Keras alike) and in plain torch."""

from typing import Any

import torch
from torch import nn


def course(k: Any) -> Any:
    """The notebook's MNIST network: two small convolutions, 2×2 max-pooling, one dense layer."""
    return k.Sequential(
        [
            k.Input((28, 28, 1)),
            k.layers.Conv2D(8, 3, activation="relu"),
            k.layers.MaxPooling2D(),
            k.layers.Conv2D(4, 3, activation="relu"),
            k.layers.MaxPooling2D(),
            k.layers.Flatten(),
            k.layers.Dense(10, activation="softmax"),
        ]
    )


def lenet(k: Any) -> Any:
    """LeNet as the course writes it."""
    return k.Sequential(
        [
            k.Input((28, 28, 1)),
            k.layers.Conv2D(6, 5, padding="same", activation="tanh"),
            k.layers.AveragePooling2D(2),
            k.layers.Conv2D(16, 5, activation="tanh"),
            k.layers.AveragePooling2D(2),
            k.layers.Flatten(),
            k.layers.Dense(120, activation="tanh"),
            k.layers.Dense(84, activation="tanh"),
            k.layers.Dense(10, activation="softmax"),
        ]
    )


def deep(k: Any) -> Any:
    """The course's larger design, with dropout."""
    return k.Sequential(
        [
            k.Input((28, 28, 1)),
            k.layers.Conv2D(64, 5, activation="relu"),
            k.layers.Conv2D(64, 3, activation="relu"),
            k.layers.MaxPooling2D(),
            k.layers.Dropout(0.2),
            k.layers.Conv2D(128, 5, activation="relu"),
            k.layers.Conv2D(128, 3, activation="relu"),
            k.layers.MaxPooling2D(),
            k.layers.Dropout(0.2),
            k.layers.Flatten(),
            k.layers.Dense(128, activation="relu"),
            k.layers.Dropout(0.2),
            k.layers.Dense(10, activation="softmax"),
        ]
    )


def torch_course() -> nn.Module:
    """The same in torch, ending in logits."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(100, 10),
    )  # fmt: skip


def torch_lenet() -> nn.Module:
    """The same in torch, ending in logits."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip


def torch_deep() -> nn.Module:
    """The same in torch, ending in logits."""
    return nn.Sequential(
        nn.Conv2d(1, 64, 5), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.2),
        nn.Conv2d(64, 128, 5), nn.ReLU(), nn.Conv2d(128, 128, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.2),
        nn.Flatten(), nn.Linear(512, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10),
    )  # fmt: skip


NETWORKS = {"course": (course, torch_course), "lenet": (lenet, torch_lenet), "deep": (deep, torch_deep)}


def torch_train(model: nn.Module, x: torch.Tensor, y: torch.Tensor, batch: int) -> Any:
    """Return a function that trains one epoch as a torch user writes it: shuffled, Adam, mean loss and accuracy."""
    optimizer = torch.optim.Adam(model.parameters(), eps=1e-7)
    loss_function = nn.CrossEntropyLoss()

    def epoch() -> float:
        model.train()
        order = torch.randperm(len(x))
        total, correct = torch.zeros(()), torch.zeros((), dtype=torch.long)
        for start in range(0, len(x), batch):
            take = order[start : start + batch]
            images, labels = x[take], y[take]
            optimizer.zero_grad()
            logits = model(images)
            loss = loss_function(logits, labels)
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                total += loss * len(take)
                correct += (logits.argmax(1) == labels).sum()
        return float(total) / len(x)

    return epoch
