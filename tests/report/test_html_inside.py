"""Pictures of filters and feature maps in the report and on the service's page."""

import io

import numpy as np
import pytest
from PIL import Image

from convia.report.html_inside import filters_png, maps_png


@pytest.mark.parametrize(
    "content",
    [
        maps_png(np.random.default_rng(0).normal(size=(6, 7, 10))),
        filters_png(np.random.default_rng(0).normal(size=(10, 5, 5, 3))),
        filters_png(np.random.default_rng(0).normal(size=(10, 5, 5, 4))),
    ],
    ids=["maps", "filters in colours", "filters of many channels"],
)
def test_the_page_shows_through_the_gaps(content):
    """Between small pictures there is neither white nor black, whatever the page's colours."""
    alpha = np.asarray(Image.open(io.BytesIO(content)))[..., 3]
    assert alpha[0, 0] == 255 and set(np.unique(alpha)) == {0, 255}
    assert (alpha[:, alpha[0] == 0] == 0).all()  # whole columns
