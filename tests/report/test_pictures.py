"""Pictures have the right panels, labels and numbers; no setting of the user's leaks in or out."""

import io

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

import convia as k
from convia import report
from convia.report import style
from convia.report.confusion import count_confusions


def texts(figure):
    """All words in a picture."""
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


def has(figure, *words):
    everything = "\n".join(texts(figure))
    return all(word in everything for word in words)


def draw(figure):
    """Draw it as a file would be, and return width, height."""
    return Image.open(io.BytesIO(style.png(figure))).size


HISTORY = {
    "loss": [1.0, 0.5, 0.3, 0.2],
    "accuracy": [0.5, 0.7, 0.8, 0.9],
    "val_loss": [1.1, 0.6, 0.55, 0.7],
    "val_accuracy": [0.4, 0.6, 0.75, 0.7],
    "learning_rate": [0.1, 0.1, 0.1, 0.05],
}


class TestLearningCurves:
    def test_panels_and_best_epoch(self):
        figure = report.learning_curves(HISTORY)
        loss, accuracy = figure.axes
        assert loss.get_title(loc="left") == "Loss: 0.55 at the best epoch, 3"
        assert accuracy.get_title(loc="left") == "Accuracy: 75.0% at the best epoch, 3"
        assert loss.get_xlabel() == "epoch"
        assert [text.get_text() for text in loss.get_legend().get_texts()] == ["training", "validation"]
        train, validation, _, best = loss.get_lines()
        np.testing.assert_array_equal(train.get_xdata(), [1, 2, 3, 4])
        np.testing.assert_array_equal(train.get_ydata(), HISTORY["loss"])
        np.testing.assert_array_equal(validation.get_ydata(), HISTORY["val_loss"])
        assert (best.get_xdata()[0], best.get_ydata()[0]) == (3, 0.55)
        assert draw(figure) == (920, 330)

    def test_where_fine_tuning_begins(self):
        for axes in report.learning_curves(HISTORY, border=2).axes:
            border = axes.get_lines()[-1]
            assert list(border.get_xdata()) == [2.5, 2.5]
            assert " fine-tuning" in [text.get_text() for text in axes.texts]

    @pytest.mark.parametrize(
        ("history", "titles"),
        [
            ({"loss": [2.0]}, ["Loss: 2 at the best epoch, 1"]),
            ({"loss": [2.0, 1.0], "mae": [3.0, 2.5]}, ["Loss: 1", "Mean absolute error: 2.5 at the best epoch, 2"]),
            ({"loss": [2.0, 1.0], "val_loss": [float("nan"), 3.0]}, ["Loss: 3 at the best epoch, 2"]),
            ({"acc": [0.1], "loss": [2.0], "auc": [0.5], "x_y": [1.0]}, ["Loss", "Accuracy", "Auc", "X y"]),
        ],
    )  # fmt: skip
    def test_other_histories(self, history, titles):
        figure = report.learning_curves(history)
        found = [axes.get_title(loc="left") for axes in figure.axes]
        assert len(found) == len(titles)
        assert all(text.startswith(title) for text, title in zip(found, titles, strict=True))
        draw(figure)

    def test_what_fit_returns(self):
        model = k.Sequential([k.Input((2,)), k.layers.Dense(1)])
        model.compile("sgd", "mse")
        assert len(report.learning_curves(model.fit(np.zeros((4, 2)), np.ones(4), epochs=2, verbose=0)).axes) == 1

    @pytest.mark.parametrize("history", [{}, {"accuracy": [1.0]}, {"loss": []}, None])
    def test_no_epoch(self, history):
        with pytest.raises(ValueError, match=r"learning_curves: received a history of .*Train the model first"):
            report.learning_curves(history)


class TestConfusionMatrix:
    def test_counts_and_shares(self):
        figure = report.confusion_matrix([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 1, 2], ["cat", "dog", "[bird]"])
        axes, bar = figure.axes
        np.testing.assert_allclose(axes.images[0].get_array(), [[2 / 3, 1 / 3, 0], [0, 1, 0], [0, 0, 1]])
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
        assert [text.get_text() for text in axes.get_yticklabels()] == ["cat", "dog", "[bird]"]
        assert {"2\n67%", "1\n33%", "2\n100%", "1\n100%"} == {text.get_text() for text in axes.texts}
        assert has(figure, "Confusion matrix: 5 of 6 right (83.3%)", "cat taken for dog (1×)")
        assert bar.get_ylabel() == "share of the true class"
        draw(figure)

    @pytest.mark.parametrize("size", [2, 5, 12, 13, 30, 31, 60, 100, 300])
    def test_readable_for_any_number_of_classes(self, size):
        labels = np.arange(size)
        figure = report.confusion_matrix(labels, labels[::-1], [f"a class with number {i}" for i in labels])
        axes = figure.axes[0]
        assert bool(axes.texts) == (size <= 30)
        assert 400 < draw(figure)[0] < 1800
        assert has(figure, "Most frequent mistakes")
        assert min(text.get_fontsize() for text in axes.get_yticklabels()) >= 5
        pixels = axes.get_window_extent().height / len(axes.get_yticklabels())
        assert pixels >= 11  # per label
        edge = min(text.get_window_extent().x0 for text in axes.get_yticklabels())
        assert edge > 0

    @pytest.mark.parametrize(
        ("true", "predicted"),
        [
            ([0, 1, 1], [0, 1, 0]),
            ([[0], [1], [1]], torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])),
            (np.eye(2)[[0, 1, 1]], np.array([0.0, 1.0, 0.0])),
        ],
    )
    def test_kinds_of_labels(self, true, predicted):
        np.testing.assert_array_equal(count_confusions(true, predicted), [[1, 0], [1, 1]])

    def test_all_right_and_class_without_images(self):
        figure = report.confusion_matrix([0, 2], [0, 2], ["a", "b", "c"])
        assert has(figure, "2 of 2 right (100.0%)", "No mistakes.")
        assert np.isfinite(figure.axes[0].images[0].get_array()).all()

    @pytest.mark.parametrize(
        ("true", "predicted", "message"),
        [
            ([0, 1], [0], "received 2 labels and 1 predictions"),
            ([], [], "received 0 labels"),
            ([-1], [0], "a negative class number"),
        ],
    )
    def test_errors(self, true, predicted, message):
        with pytest.raises(ValueError, match=message):
            report.confusion_matrix(true, predicted)


class TestPredictions:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]])

    def test_wrong_ones_first_and_most_certain_first(self):
        figure = report.predictions(np.ones((4, 6, 5)), [0, 1, 1, 0], None, self.probabilities, ["cat", "dog"])
        titles = [axes.get_title() for axes in figure.axes]
        assert titles == ["✗ dog (80%)\nis cat", "✗ cat (60%)\nis dog", "✓ cat (90%)", "✓ dog (70%)"]
        assert has(figure, "Wrong: 2 of 4, the most certain first", "Right: 2 of 4")
        assert figure.axes[0].title.get_color() == style.ORANGE
        assert figure.axes[2].title.get_color() == style.BLUE
        draw(figure)

    @pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (8, 6, 3)])
    @pytest.mark.parametrize("kind", ["uint8", "float32"])
    def test_images(self, shape, kind):
        images = (np.random.rand(20, *shape) * (255 if kind == "uint8" else 1)).astype(kind)
        labels = np.arange(20) % 4
        figure = report.predictions(images, labels, labels, columns=5)
        assert [axes.get_title() for axes in figure.axes] == [f"✓ {n % 4}" for n in range(10)]
        assert has(figure, "Right: 20 of 20")
        assert not has(figure, "Wrong")
        assert draw(figure)[0] < 700

    def test_same_beginning_of_names(self):
        figure = report.predictions(np.ones((1, 4, 4)), [0], [1], class_names=["very long name 1", "very long name 2"])
        assert figure.axes[0].get_title() == "✗ very long…me 2\nis very long…me 1"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (([1.0], [0]), "neither y_pred nor probabilities"),
            ((np.ones((2, 4, 4)), [0], [0]), "received 2 images, 1 labels and 1 predictions"),
        ],
    )
    def test_errors(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            report.predictions(*arguments)


def network(channels=1, filters=6):
    return k.Sequential(
        [
            k.Input((10, 8, channels)),
            k.layers.Conv2D(filters, 3, name="edges"),
            k.layers.MaxPooling2D(name="smaller"),
            k.layers.Conv2D(20, 2, name="corners"),
            k.layers.GlobalAveragePooling2D(),
            k.layers.Dense(3),
        ],
        name="network",
    )


class TestFilters:
    @pytest.mark.parametrize(
        ("channels", "count", "title"),
        [
            (1, 6, "What 'edges' looks for: 6 filters of 3×3"),
            (3, 6, "What 'edges' looks for: 6 filters of 3×3"),
            (5, 70, "64 of 70 filters of 3×3, mean of 5 channels"),
        ],
    )
    def test_first_convolution(self, channels, count, title):
        model = network(channels, count)
        figure = report.filters(model)
        assert has(figure, title)
        assert len(figure.axes) == (1 if channels == 3 else 2)  # colours need no scale
        shown = figure.axes[0].images[0].get_array()
        assert shown.ndim == (3 if channels == 3 else 2)
        kernel = model.get_layer("edges").kernel.numpy()
        if channels != 3:
            side = 24  # each weight is drawn as 24×24 pixels
            assert shown[0, 0] == pytest.approx(kernel[0, 0, :, 0].mean())
            assert shown[2 * side, 3 * side + 6] == pytest.approx(kernel[2, 0, :, 1].mean())
            limit = np.abs(kernel[..., :64].mean(2)).max()
            assert figure.axes[0].images[0].get_clim() == pytest.approx((-limit, limit))
        draw(figure)

    def test_layer_nested_model_and_depthwise(self):
        inner = network()
        outer = k.Sequential([k.Input((10, 8, 1)), inner, k.layers.Dense(2)])
        assert has(report.filters(outer), "What 'edges' looks for")
        assert has(report.filters(inner.get_layer("corners")), "mean of 6 channels")
        depthwise = k.Sequential([k.Input((8, 8, 4)), k.layers.DepthwiseConv2D(3, depth_multiplier=2)])
        assert has(report.filters(depthwise), "8 filters of 3×3")

    @pytest.mark.parametrize(
        "make",
        [
            lambda: k.Sequential([k.Input((4,)), k.layers.Dense(2)], name="flat"),
            lambda: k.Sequential([k.layers.Conv2D(2, 3)], name="flat"),
            lambda: k.Sequential([k.Input((8, 2)), k.layers.Conv1D(2, 3)], name="flat"),
        ],
    )
    def test_no_kernel(self, make):
        with pytest.raises(ValueError, match=r"filters: received 'flat' without a Conv2D's kernel"):
            report.filters(make())


class TestFeatureMaps:
    def test_one_grid_per_layer(self):
        model, image = network(), np.random.rand(10, 8, 1).astype("float32")
        figure = report.feature_maps(model, image)
        words = ["The image", "edges: 6 maps of 8×6", "smaller: 6 maps of 4×3", "corners: 16 of 20 maps of 3×2"]
        assert has(figure, *words)
        assert len(figure.axes) == 4
        first = k.Model(model.inputs, model.get_layer("edges").output).predict(image[None], verbose=0)[0, ..., 0]
        shown = figure.axes[1].images[0].get_array()
        stretched = (first - first.min()) / (first.max() - first.min())
        np.testing.assert_allclose(shown[: 8 * 9 : 9, : 6 * 9 : 9], stretched, atol=1e-5)
        draw(figure)

    @pytest.mark.parametrize("shape", [(10, 8), (10, 8, 1), (1, 10, 8, 1)])
    def test_shapes_of_images(self, shape):
        assert len(report.feature_maps(network(), np.ones(shape, "float32")).axes) == 4

    def test_chosen_layers_and_training_is_left_alone(self):
        model = network()
        figure = report.feature_maps(model, np.ones((10, 8, 1), "float32"), ["corners", model.get_layer("edges")])
        assert has(figure, "corners", "edges")
        assert not has(figure, "smaller")
        assert not model.get_layer("edges")._forward_hooks

    def test_subclass(self):
        class Small(k.Model):
            def __init__(self):
                super().__init__()
                self.look = k.layers.Conv2D(3, 3, name="look")

            def call(self, inputs):
                return self.look(inputs)

        model = Small()
        model(np.zeros((1, 6, 6, 1), "float32"))
        assert has(report.feature_maps(model, np.ones((6, 6, 1), "float32")), "look: 3 maps of 4×4")

    def test_channels_first(self):
        k.config.set_image_data_format("channels_first")
        model = k.Sequential([k.Input((3, 6, 7)), k.layers.Conv2D(4, 3, name="look")])
        figure = report.feature_maps(model, np.random.rand(3, 6, 7).astype("float32"))
        assert has(figure, "look: 4 maps of 4×5")
        assert figure.axes[0].images[0].get_array().shape == (6, 7, 3)

    @pytest.mark.parametrize(
        ("layers", "message"),
        [(["edge"], "Did you mean 'edges'"), ([-1], "at least one layer whose output is feature maps")],
    )
    def test_errors(self, layers, message):
        model = network()
        layers = [model.layers[-1]] if layers == [-1] else layers
        with pytest.raises(ValueError, match=message):
            report.feature_maps(model, np.ones((10, 8, 1), "float32"), layers)


class TestStyle:
    def test_same_under_any_settings_and_leaves_them(self):
        plain = style.png(report.learning_curves(HISTORY))
        with matplotlib.style.context("dark_background"), matplotlib.rc_context({"font.size": 22}):
            assert style.png(report.learning_curves(HISTORY)) == plain
            assert matplotlib.rcParams["font.size"] == 22
            assert matplotlib.rcParams["figure.facecolor"] == "black"

    def test_shows_itself_in_a_notebook_and_needs_no_pyplot(self):
        figure = report.learning_curves(HISTORY)
        assert figure._repr_png_().startswith(b"\x89PNG")
        assert isinstance(figure, matplotlib.figure.Figure)

    @pytest.mark.parametrize(
        ("name", "short"), [("cat", "cat"), ("a" * 18, "a" * 18), ("abcdefghijklmnopqrstuvwxyz", "abcdefghijk…uvwxyz")]
    )
    def test_shortened(self, name, short):
        assert style.shortened(name) == short

    @pytest.mark.parametrize(("count", "columns"), [(1, 1), (8, 8), (9, 5), (16, 8), (20, 7), (64, 8)])
    def test_columns(self, count, columns):
        assert style.columns_for(count) == columns
