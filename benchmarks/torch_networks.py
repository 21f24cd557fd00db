"""The three networks of the course in plain torch, trained and used as a torch user writes it."""

from typing import Any

import torch
from torch import nn


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


NETWORKS = {"course": torch_course, "lenet": torch_lenet, "deep": torch_deep}


def torch_train(model: nn.Module, x: torch.Tensor, y: torch.Tensor, batch: int) -> Any:
    """Return a function that trains one epoch shuffled, Adam, mean loss and accuracy."""
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


def torch_predict(model: nn.Module, x: torch.Tensor, batch: int) -> Any:
    """Return a function that predicts all of x in batches."""

    def run() -> torch.Tensor:
        model.eval()
        with torch.inference_mode():
            return torch.cat([model(x[start : start + batch]).softmax(1) for start in range(0, len(x), batch)])

    return run
