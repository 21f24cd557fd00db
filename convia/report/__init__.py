"""Pictures of a training and of what a network has learned; each function returns a matplotlib Figure.

``write_html`` writes all of it, and more, into one HTML file.

In a notebook a figure shows itself; elsewhere ``figure.savefig("curves.png")``. matplotlib is imported when the first
picture is drawn.
"""

from convia.report.confusion import confusion_matrix, count_confusions
from convia.report.curves import learning_curves
from convia.report.examples import predictions
from convia.report.html import write_html
from convia.report.network import feature_maps, filters
from convia.report.notebook import plot

__all__ = [
    "confusion_matrix",
    "count_confusions",
    "feature_maps",
    "filters",
    "learning_curves",
    "plot",
    "predictions",
    "write_html",
]
