"""Why a network decides as it does: where it looks, what its layers see, what its filters look for.

Every function takes a model (Sequential, functional, subclassed, loaded from a file; layers within nested models, and
frozen ones, too) and one image as the model takes it, and returns NumPy arrays; :func:`overlay` makes pictures of them.

::

    heat = convia.explain.grad_cam(model, image)
    Image.fromarray(convia.explain.overlay(image, heat)).save("why.png")
"""

from convia.explain.gradients import grad_cam, grad_cam_plus_plus, saliency, smooth_grad
from convia.explain.inside import feature_maps, filters, layer_paths
from convia.explain.occluding import occlusion
from convia.explain.pictures import overlay

__all__ = [
    "feature_maps",
    "filters",
    "grad_cam",
    "grad_cam_plus_plus",
    "layer_paths",
    "occlusion",
    "overlay",
    "saliency",
    "smooth_grad",
]
