"""Expressions that both TensorFlow and convia evaluate; ``record.py`` writes down what TensorFlow says.

``f``, ``g`` are float arrays (3, 4); ``i``, ``j`` whole numbers (3, 4); ``v`` a vector of 6; ``im``, ``im2`` images
(1, 8, 6, 3) in 0…1; ``u8`` a byte image (6, 5, 3); ``k`` a kernel (3, 3, 3, 2); ``b`` truth values (3, 4).
"""

import numpy as np


def inputs(tf):
    """Return the names that expressions use."""
    draw = np.random.RandomState(7)
    arrays = {
        "f": draw.normal(size=(3, 4)).astype("float32"),
        "g": draw.normal(size=(3, 4)).astype("float32"),
        "p": draw.uniform(0.1, 0.9, size=(3, 4)).astype("float32"),
        "i": draw.randint(-5, 9, size=(3, 4)).astype("int32"),
        "j": draw.randint(1, 5, size=(3, 4)).astype("int32"),
        "v": np.array([3, 1, 2, 3, 1, 5], "int32"),
        "b": draw.uniform(size=(3, 4)) > 0.5,
        "im": draw.uniform(size=(1, 8, 6, 3)).astype("float32"),
        "im2": draw.uniform(size=(1, 8, 6, 3)).astype("float32"),
        "big": draw.uniform(size=(1, 24, 20, 2)).astype("float32"),
        "u8": draw.randint(0, 256, size=(6, 5, 3)).astype("uint8"),
        "k": draw.normal(size=(3, 3, 3, 2)).astype("float32"),
        "m": draw.normal(size=(3, 3)).astype("float32"),
        "x1": draw.normal(size=(1, 9, 3)).astype("float32"),
    }
    return {"tf": tf, "np": np, **{name: tf.constant(value) for name, value in arrays.items()}}


_UNARY = (
    "abs ceil cos cosh erf exp expm1 floor is_finite is_inf is_nan negative reciprocal rint round sigmoid sign sin sinh "
    "softplus softsign square tan tanh atan asinh lgamma digamma log_sigmoid erfc bessel_i0"
)
_POSITIVE = "log log1p sqrt rsqrt acos asin atanh erfinv ndtri"
_BINARY = (
    "add subtract multiply divide floordiv floormod maximum minimum squared_difference greater greater_equal less "
    "less_equal equal not_equal atan2 truediv divide_no_nan multiply_no_nan"
)
_REDUCE = "sum mean max min prod logsumexp std variance euclidean_norm"
_NN = "relu relu6 elu selu sigmoid tanh softplus softsign silu swish crelu leaky_relu gelu softmax log_softmax"

EXPRESSIONS = [
    *(f"tf.math.{name}(f)" for name in _UNARY.split()),
    *(f"tf.math.{name}(p)" for name in _POSITIVE.split()),
    *(f"tf.math.{name}(f, g)" for name in _BINARY.split()),
    *(f"tf.math.{name}(i, j)" for name in _BINARY.split() if name not in ("atan2", "divide_no_nan", "multiply_no_nan")),
    *(f"tf.math.reduce_{name}(f)" for name in _REDUCE.split()),
    *(f"tf.math.reduce_{name}(f, axis=1, keepdims=True)" for name in _REDUCE.split()),
    *(f"tf.math.reduce_{name}(f, [0, 1])" for name in _REDUCE.split()),
    *(f"tf.reduce_{name}(i, 0)" for name in ("sum", "mean", "max", "min", "prod")),
    *(f"tf.nn.{name}(f)" for name in _NN.split()),
    *(f"tf.{name}(f)" for name in ("abs", "exp", "round", "sign", "square", "sin", "cos", "tanh", "sigmoid")),
    *(f"tf.zeros(({n}, 2), tf.{t})" for n, t in ((1, "int32"), (2, "uint8"), (2, "bool"), (2, "float64"))),
    # types and making
    "tf.constant([1, 2, 3])", "tf.constant([1.5, 2])", "tf.constant(2.5, shape=(2, 2))", "tf.constant([True, False])",
    "tf.constant(np.arange(3.0))", "tf.constant([1, 2], tf.float32)", "tf.constant(3, dtype='int64')",
    "tf.convert_to_tensor([[1, 2], [3, 4]])", "tf.cast(f, tf.int32)", "tf.cast(i, 'float32')", "tf.cast(b, tf.uint8)",
    "tf.saturate_cast(tf.constant([-3.0, 300.0]), tf.uint8)", "tf.ones((2, 3))", "tf.fill([2, 2], 7)",
    "tf.zeros_like(i)", "tf.ones_like(f, dtype=tf.int32)", "tf.eye(3)", "tf.eye(2, 3, dtype=tf.int32)",
    "tf.eye(2, batch_shape=[2])", "tf.range(5)", "tf.range(1, 10, 3)", "tf.range(0.0, 1.0, 0.25)", "tf.range(3, 0, -1)",
    "tf.range(4, dtype=tf.float32)", "tf.linspace(0.0, 1.0, 5)", "tf.linspace(0, 10, 3)",
    "tf.one_hot([0, 2, 5], 3)", "tf.one_hot([[0, 1]], 2, axis=1)", "tf.one_hot([1], 3, on_value=5, off_value=-1)",
    "tf.one_hot([0, 1], 2, dtype=tf.int32)", "tf.sequence_mask([1, 3], 4)", "tf.sequence_mask([1, 2])",
    # shapes
    "tf.shape(im)", "tf.size(f)", "tf.rank(im)", "tf.shape(f)[1]", "tf.shape(f, out_type=tf.int64)",
    "tf.reshape(f, (4, 3))", "tf.reshape(f, [-1])", "tf.reshape(f, tf.constant([2, 6]))", "tf.expand_dims(f, -1)",
    "tf.expand_dims(f, 0)", "tf.squeeze(tf.ones((1, 2, 1)))", "tf.squeeze(tf.ones((1, 2, 1)), axis=0)",
    "tf.squeeze(tf.ones((1, 2, 1)), [0, 2])", "tf.transpose(f)", "tf.transpose(im, [0, 3, 1, 2])[0, 0]",
    "tf.concat([f, g], 0)", "tf.concat([f, g], axis=-1)", "tf.stack([f, g])", "tf.stack([f, g], axis=-1)",
    "tf.unstack(f)[1]", "tf.split(f, 2, axis=1)[1]", "tf.split(f, [1, 3], 1)[1]", "tf.split(f, [1, -1], axis=1)[1]",
    "tf.tile(v, [2])", "tf.tile(f, [1, 2])", "tf.repeat(v, 2)", "tf.repeat([1, 2], [2, 3])",
    "tf.repeat(f, 2, axis=0)", "tf.reverse(f, [1])", "tf.roll(v, 2, 0)", "tf.roll(f, [1, -1], [0, 1])",
    "tf.broadcast_to([1, 2, 3], [2, 3])", "tf.pad(f, [[1, 1], [0, 2]])", "tf.pad(f, [[1, 1], [2, 2]], 'REFLECT')",
    "tf.pad(f, [[1, 1], [2, 2]], mode='SYMMETRIC')", "tf.pad(f, [[0, 1], [0, 0]], constant_values=9)",
    "tf.slice(f, [1, 0], [2, 2])", "tf.slice(f, [0, 1], [-1, -1])", "tf.strided_slice(v, [0], [6], [2])",
    "tf.meshgrid([1, 2], [3, 4, 5])[0]", "tf.meshgrid([1, 2], [3, 4, 5], indexing='ij')[1]", "f[:, ::-1]",
    "f[::-1]", "im[0, ::-2, ..., ::-1]", "f[:, tf.newaxis]", "f[..., 1:3]", "f[-1]", "v[::2]", "v[4:1:-1]",
    # picking
    "tf.gather(f, [2, 0])", "tf.gather(f, [1, 3], axis=1)", "tf.gather(f, [[0, 1], [2, 0]])",
    "tf.gather(f, [0, 1, 2], axis=1, batch_dims=1)", "tf.gather(f, [[0, 1], [2, 3], [1, 1]], batch_dims=1)",
    "tf.gather_nd(f, [[0, 1], [2, 3]])", "tf.gather_nd(f, [[1]])", "tf.scatter_nd([[0], [2], [0]], [1, 2, 3], [4])",
    "tf.tensor_scatter_nd_update(v, [[1], [3]], [9, 8])", "tf.tensor_scatter_nd_add(v, [[1], [1]], [9, 8])",
    "tf.tensor_scatter_nd_sub(v, [[1], [2]], [9, 8])", "tf.boolean_mask(f, b)", "tf.boolean_mask(f, [True, False, True])",
    "tf.boolean_mask(f, [True, False, True, True], axis=1)", "tf.where(b, f, g)", "tf.where(b)", "tf.where(b, 1.0, 0.0)",
    "tf.where(f > 0, f, 0.0)", "tf.argmax(f)", "tf.argmax(f, axis=1)", "tf.argmin(f, -1, output_type=tf.int32)",
    "tf.argmax(v)", "tf.sort(f)", "tf.sort(f, axis=0, direction='DESCENDING')", "tf.argsort(v)",
    "tf.argsort(f, direction='DESCENDING')", "tf.unique(v).y", "tf.unique(v).idx", "tf.unique_with_counts(v).count",
    "tf.searchsorted([1, 3, 5], [2, 5])", "tf.math.top_k(f, 2).values", "tf.math.top_k(f, 2).indices",
    "tf.nn.top_k(v, 3)[0]", "tf.math.in_top_k([0, 1, 2], f, 2)", "tf.clip_by_value(f, -0.5, 0.5)",
    "tf.clip_by_value(i, 0, 3)", "tf.clip_by_norm(f, 1.0)", "tf.clip_by_norm(f, 1.0, axes=[1])",
    "tf.clip_by_global_norm([f, g], 2.0)[0][1]", "tf.linalg.global_norm([f, g])", "tf.add_n([f, g, f])",
    "tf.identity(f)", "tf.stop_gradient(f)", "tf.complex(f, g)", "tf.bitcast(f, tf.int32)",
    "tf.dynamic_partition(v, [0, 1, 0, 1, 0, 1], 2)[1]",
    # mathematics
    "tf.reduce_any(b)", "tf.reduce_all(b, axis=1)", "tf.cumsum(f, axis=1)", "tf.cumsum(v, exclusive=True)",
    "tf.cumsum(v, reverse=True)", "tf.math.cumprod(v, exclusive=True, reverse=True)", "tf.pow(f, 2)",
    "tf.pow(2.0, 3.0)", "tf.math.logical_and(b, True)", "tf.logical_not(b)", "tf.math.logical_xor(b, b)",
    "tf.math.count_nonzero(i)", "tf.math.count_nonzero(i, axis=0)", "tf.math.zero_fraction(i)",
    "tf.math.l2_normalize(f)", "tf.math.l2_normalize(f, axis=1)", "tf.nn.l2_normalize(f, 0)",
    "tf.math.confusion_matrix([0, 1, 1], [0, 1, 0])", "tf.math.confusion_matrix([0, 2], [1, 2], num_classes=4)",
    "tf.math.bincount(v)", "tf.math.bincount(v, minlength=8)", "tf.math.polyval([1.0, 2.0, 3.0], 2.0)",
    "tf.math.segment_sum(f, [0, 0, 1])", "tf.math.segment_mean(f, [0, 0, 1])",
    "tf.math.unsorted_segment_sum(f, [1, 0, 1], 3)", "tf.math.unsorted_segment_mean(f, [1, 0, 1], 2)",
    "tf.math.xlogy(0.0, 0.0)", "tf.math.xdivy(0.0, 0.0)", "tf.math.scalar_mul(2.0, f)",
    "tf.math.cumulative_logsumexp(f, axis=1)", "tf.math.reduce_mean(tf.cast(tf.equal(i, j), tf.float32))",
    "f + 1", "1 - f", "f * g", "f / 2", "f ** 2", "-f", "f > g", "f <= 0", "i // j", "i % j", "f @ tf.transpose(g)",
    "f + np.ones((3, 4))", "np.ones((3, 4), 'float32') * f", "[1.0, 2.0, 3.0, 4.0] + f", "abs(f)", "~b", "i == j",
    # linear algebra
    "tf.matmul(f, g, transpose_b=True)", "tf.matmul(f, g, transpose_a=True)", "tf.linalg.matmul(m, m)",
    "tf.linalg.matvec(m, [1.0, 2.0, 3.0])", "tf.tensordot(f, g, axes=[[1], [1]])", "tf.tensordot(m, m, 1)",
    "tf.einsum('ij,kj->ik', f, g)", "tf.einsum('bijc,bijd->bcd', im, im2)", "tf.norm(f)", "tf.norm(f, axis=1)",
    "tf.norm(f, ord=1, axis=0)", "tf.norm(f, ord=np.inf)", "tf.norm(f, keepdims=True)", "tf.norm(m, ord='fro', axis=[0, 1])",
    "tf.linalg.diag([1.0, 2.0])", "tf.linalg.diag_part(m)", "tf.linalg.set_diag(m, [1.0, 2.0, 3.0])",
    "tf.linalg.band_part(m, 1, 0)", "tf.linalg.band_part(m, -1, 0)", "tf.linalg.trace(m)", "tf.linalg.det(m)",
    "tf.linalg.inv(m)", "tf.linalg.solve(m, tf.transpose(f[:, :3]))", "tf.linalg.svd(m, compute_uv=False)",
    "tf.linalg.svd(m)[0]", "tf.linalg.cholesky(tf.matmul(m, m, transpose_b=True))", "tf.linalg.cross(m, m + 1.0)",
    "tf.linalg.normalize(f, axis=1)[0]", "tf.linalg.matrix_transpose(m)", "tf.linalg.pinv(f)",
    "tf.linalg.lstsq(tf.transpose(f), tf.transpose(g))", "tf.linalg.expm(m)",
    "tf.signal.rfft(f)", "tf.signal.fft(tf.complex(f, g))", "tf.signal.irfft(tf.signal.rfft(f))",
    "tf.signal.frame(v, 3, 2)", "tf.signal.frame(v, 4, 3, pad_end=True)", "tf.signal.hann_window(5)",
    "tf.signal.hamming_window(4, periodic=False)", "tf.abs(tf.signal.stft(tf.cast(tf.range(20), tf.float32), 6, 4))",
    # networks
    "tf.nn.conv2d(im, k, 1, 'SAME')", "tf.nn.conv2d(im, k, [1, 2, 2, 1], 'SAME')", "tf.nn.conv2d(im, k, strides=2, padding='VALID')",
    "tf.nn.conv2d(im, k, 1, 'VALID', dilations=2)", "tf.nn.conv2d(im, filters=k, strides=[1, 1, 1, 1], padding=[[0, 0], [1, 0], [0, 1], [0, 0]])",
    "tf.nn.conv1d(x1, k[0], 1, 'SAME')", "tf.nn.conv1d(x1, k[0], stride=2, padding='VALID')",
    "tf.nn.depthwise_conv2d(im, k, [1, 1, 1, 1], 'SAME')", "tf.nn.depthwise_conv2d(im, k, [1, 2, 2, 1], 'VALID')",
    "tf.nn.separable_conv2d(im, k, tf.ones((1, 1, 6, 2)), [1, 1, 1, 1], 'SAME')",
    "tf.nn.conv2d_transpose(im[..., :2], k, [1, 16, 12, 3], 2, 'SAME')[0, 3:5]",
    "tf.nn.conv2d_transpose(im[..., :2], k, [1, 17, 13, 3], [1, 2, 2, 1], 'VALID')[0, 15:]",
    "tf.nn.conv2d_transpose(im[..., :2], k, [1, 8, 6, 3], 1, 'SAME')[0, :2]",
    "tf.nn.max_pool2d(im, 2, 2, 'VALID')", "tf.nn.max_pool(im, [1, 3, 3, 1], [1, 2, 2, 1], 'SAME')",
    "tf.nn.avg_pool2d(im, 3, 1, 'SAME')", "tf.nn.avg_pool(im, ksize=2, strides=2, padding='VALID')",
    "tf.nn.pool(im, [2, 2], 'AVG', strides=[2, 2], padding='VALID')", "tf.nn.max_pool1d(x1, 2, 2, 'SAME')",
    "tf.nn.bias_add(f, [1.0, 2.0, 3.0, 4.0])", "tf.nn.moments(f, axes=[0])[1]", "tf.nn.moments(im, [1, 2], keepdims=True)[0]",
    "tf.nn.batch_normalization(f, 0.5, 2.0, 0.1, 3.0, 1e-3)", "tf.nn.batch_normalization(f, g[0], p[0], None, None, 1e-3)",
    "tf.nn.softmax(f, axis=0)", "tf.nn.leaky_relu(f, alpha=0.3)", "tf.nn.gelu(f, approximate=True)",
    "tf.nn.sigmoid_cross_entropy_with_logits(labels=p, logits=f)", "tf.nn.softmax_cross_entropy_with_logits(p, f)",
    "tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[0, 3, 1], logits=f)",
    "tf.nn.weighted_cross_entropy_with_logits(p, f, 2.0)", "tf.nn.l2_loss(f)", "tf.nn.zero_fraction(i)",
    "tf.nn.compute_average_loss(f[:, 0], global_batch_size=6)", "tf.nn.embedding_lookup(f, [2, 0])",
    "tf.nn.local_response_normalization(im, 1, 1.0, 0.5, 0.75)", "tf.nn.depth_to_space(tf.reshape(im, (1, 4, 3, 12)), 2)",
    "tf.nn.space_to_depth(im, 2)", "tf.nn.dropout(f, 0.0)", "tf.nn.scale_regularization_loss(tf.constant([2.0, 4.0]))",
    "tf.nn.silu(f, beta=2.0)", "tf.nn.convolution(im, k, padding='SAME')[0, 0]",
    # images
    "tf.image.resize(im, (4, 3))", "tf.image.resize(im, (11, 9))", "tf.image.resize(u8, [3, 3])",
    "tf.image.resize(im, (5, 9), method='nearest')", "tf.image.resize(u8, [7, 8], 'nearest')",
    "tf.image.resize(im, (5, 9), tf.image.ResizeMethod.BICUBIC)", "tf.image.resize(im, (4, 3), 'area')",
    "tf.image.resize(im, (5, 9), 'lanczos3')", "tf.image.resize(im, (3, 3), antialias=True)",
    "tf.image.resize(im, (4, 4), preserve_aspect_ratio=True)", "tf.image.resize(im, (3, 4), 'bicubic', antialias=True)",
    "tf.image.resize_with_pad(im, 5, 9)", "tf.image.resize_with_pad(u8, 4, 4)",
    "tf.image.resize_with_crop_or_pad(im, 5, 9)", "tf.image.resize_with_crop_or_pad(u8, 9, 3)",
    "tf.image.central_crop(im, 0.5)", "tf.image.central_crop(u8, 0.6)",
    "tf.image.crop_to_bounding_box(im, 1, 2, 4, 3)", "tf.image.pad_to_bounding_box(u8, 1, 2, 8, 9)",
    "tf.image.crop_and_resize(im, [[0.1, 0.2, 0.9, 0.8]], [0], (3, 4))",
    "tf.image.crop_and_resize(im, [[0.0, 0.0, 1.2, 1.0]], [0], (4, 2), extrapolation_value=9.0)",
    "tf.image.flip_left_right(u8)", "tf.image.flip_up_down(im)", "tf.image.transpose(u8)", "tf.image.rot90(u8)",
    "tf.image.rot90(im, k=3)", "tf.image.rgb_to_grayscale(im)", "tf.image.rgb_to_grayscale(u8)",
    "tf.image.grayscale_to_rgb(im[..., :1])", "tf.image.rgb_to_hsv(im)", "tf.image.hsv_to_rgb(im)",
    "tf.image.rgb_to_yuv(im)", "tf.image.yuv_to_rgb(im)", "tf.image.rgb_to_yiq(im)", "tf.image.yiq_to_rgb(im)",
    "tf.image.adjust_brightness(im, 0.2)", "tf.image.adjust_brightness(u8, 0.3)", "tf.image.adjust_contrast(im, 1.5)",
    "tf.image.adjust_contrast(u8, 0.7)", "tf.image.adjust_saturation(im, 0.4)", "tf.image.adjust_saturation(im, 2.0)",
    "tf.image.adjust_hue(im, 0.2)", "tf.image.adjust_gamma(im, 2.0, 0.5)",
    "tf.image.convert_image_dtype(u8, tf.float32)", "tf.image.convert_image_dtype(im, tf.uint8)",
    "tf.image.convert_image_dtype(u8, tf.uint16)", "tf.image.convert_image_dtype(im * 2.0, tf.uint8, saturate=True)",
    "tf.image.per_image_standardization(im)", "tf.image.per_image_standardization(u8)", "tf.image.total_variation(im)",
    "tf.image.image_gradients(im)[0]", "tf.image.image_gradients(im)[1]", "tf.image.sobel_edges(im)[0, :2]",
    "tf.image.psnr(im, im2, 1.0)", "tf.image.psnr(u8, u8 // 2, 255)", "tf.image.ssim(big, big * 0.8, 1.0)",
    "tf.image.ssim(big, tf.sqrt(big), max_val=1.0, filter_size=7)",
    "tf.image.ssim_multiscale(big, big * 0.9, 1.0, power_factors=(0.5, 0.5), filter_size=5)",
    "tf.image.extract_patches(im, [1, 3, 3, 1], [1, 2, 2, 1], [1, 1, 1, 1], 'VALID')",
    "tf.image.extract_patches(im, [1, 2, 2, 1], [1, 2, 2, 1], [1, 1, 1, 1], 'SAME')[0, 0]",
    "tf.image.non_max_suppression([[0.0, 0, 1, 1], [0, 0, 0.9, 1], [0, 2, 1, 3]], [0.5, 0.9, 0.3], 3)",
    "tf.image.draw_bounding_boxes(im, [[[0.2, 0.1, 0.7, 0.9]]], [[1.0, 0.0, 0.0]])",
    # texts
    "tf.strings.split('a/b/c', '/')", "tf.strings.join(['a', 'b'], '-')", "tf.strings.length(['ab', 'c'])",
    "tf.strings.lower(['AB', 'c'])", "tf.strings.upper('ab')", "tf.strings.regex_replace('a1b22', '[0-9]+', '#')",
    "tf.strings.reduce_join(['a', 'b', 'c'], separator='.')", "tf.strings.reduce_join([['a', 'b'], ['c', 'd']], axis=1)",
    "tf.strings.substr('hello', 1, 3)", "tf.strings.to_number(['1.5', '2'])", "tf.strings.to_number('7', tf.int32)",
    "tf.strings.strip('  a ')", "tf.strings.as_string([1, 2])", "tf.strings.as_string(True)",
    "tf.strings.regex_full_match(['ab', 'b'], 'a.*')", "tf.strings.unicode_split('añb', 'UTF-8')",
    "tf.constant(['a', 'b']) == 'a'", "tf.strings.split(['a b', 'c']).to_tensor()", "tf.constant('x') + 'y'",
    "tf.strings.split('x/cat/1.jpg', '/')[-2] == ['cat', 'dog']", "tf.io.decode_raw('\\x01\\x02', tf.uint8)",
    # control
    "tf.map_fn(lambda r: r * 2.0, f)", "tf.vectorized_map(lambda r: tf.reduce_sum(r), f)",
    "tf.while_loop(lambda n: n < 10, lambda n: (n * 3,), [1])[0]", "tf.cond(tf.constant(True), lambda: 1, lambda: 2) + 0",
    "tf.case([(tf.constant(False), lambda: 1)], default=lambda: 2) + 0", "tf.switch_case(tf.constant(1), [lambda: 5, lambda: 6]) + 0",
    "tf.scan(lambda a, r: a + r, f)", "tf.foldl(lambda a, r: a + r, v)", "tf.ensure_shape(f, [None, 4])",
    "tf.numpy_function(lambda a: a + 1, [f], tf.float32)", "tf.py_function(lambda a: a + 1, [f], tf.float32)",
    "tf.experimental.numpy.allclose(f, f)", "tf.random.stateless_uniform((2,), seed=[1, 2]) * 0",
]  # fmt: skip
