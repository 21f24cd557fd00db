"""convia: convolutional neural networks with the Keras API, on PyTorch."""
