"""A model as a service over HTTP: many requests share a batch, none can bring it down; and a page to try it out."""

from convia.serve.app import create_app
from convia.serve.limits import Classifier, Limits, Refused

__all__ = ["Classifier", "Limits", "Refused", "create_app"]
