"""The shipped LeNet-5: its data, its inference and the figure that compression is held against."""

from importlib.resources import files

import numpy as np
import pytest

from qcodec.demo import lenet5


@pytest.fixture(scope="module")
def shipped():
    return lenet5.weights(), *lenet5.test_images()


def slow_convolve(inputs, kernels, bias):
    """The convolution again, one output value at a time, from the docstring alone."""
    n, channels, height, width = inputs.shape
    n_kernels, _, k, _ = kernels.shape
    out = np.zeros((n, n_kernels, height - k + 1, width - k + 1))
    for i, o, y, x in np.ndindex(out.shape):
        out[i, o, y, x] = bias[o]
        for c, dy, dx in np.ndindex(channels, k, k):
            out[i, o, y, x] += float(inputs[i, c, y + dy, x + dx]) * float(kernels[o, c, dy, dx])
    return out


def test_convolution_worked_out_by_hand():
    # 1*10 + 2*20 + 4*30 + 5*40 = 370 at the left, 2*10 + 3*20 + 5*30 + 6*40 = 470 at the right;
    # the kernel is not flipped. The bias adds 0.5.
    inputs = np.array([[[[1, 2, 3], [4, 5, 6]]]], dtype=np.float32)
    kernels = np.array([[[[10, 20], [30, 40]]]], dtype=np.float32)
    out = lenet5.convolve(inputs, kernels, np.array([0.5], dtype=np.float32))
    np.testing.assert_array_equal(out, [[[[370.5, 470.5]]]])


def test_convolution_agrees_with_the_slow_twin():
    rng = np.random.default_rng(1)
    inputs = rng.standard_normal((2, 3, 7, 9), dtype=np.float32)
    kernels = rng.standard_normal((4, 3, 5, 5), dtype=np.float32)
    bias = rng.standard_normal(4, dtype=np.float32)
    out = lenet5.convolve(inputs, kernels, bias)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, slow_convolve(inputs, kernels, bias), rtol=0, atol=1e-4)


def test_float32_weights_score_the_published_figure(shipped):
    # 993 of 1,000, counted by PyTorch when benchmarks/train_lenet5.py wrote the files.
    assert lenet5.top1(*shipped) == 99.3


def test_scores_equal_those_of_pytorch(shipped):
    # First shipped image, PyTorch 2.13.0 on the same weights.
    weights, images, _ = shipped
    expected = [-0.8005, 9.5965, -3.1914, -6.0453, -5.872, -6.9724, -7.2334, 2.3965, 0.2085, -4.953]
    np.testing.assert_allclose(lenet5.logits(weights, images[:1])[0], expected, rtol=0, atol=1e-3)


def test_zero_weights_score_chance(shipped):
    # All scores tie, the first digit wins, and 100 of the 1,000 images show it.
    weights, images, labels = shipped
    zeros = {name: np.zeros_like(tensor) for name, tensor in weights.items()}
    assert lenet5.top1(zeros, images, labels) == 10.0


def test_scores_do_not_depend_on_the_batch_an_image_is_in(shipped):
    weights, images, _ = shipped
    together = lenet5.logits(weights, images[:53])
    alone = np.concatenate([lenet5.logits(weights, images[i : i + 1]) for i in range(53)])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-4)


def test_weights_are_the_classic_61706_in_float32(shipped):
    weights, _, _ = shipped
    assert {name: tensor.shape for name, tensor in weights.items()} == {
        "conv1.weight": (6, 1, 5, 5),
        "conv1.bias": (6,),
        "conv2.weight": (16, 6, 5, 5),
        "conv2.bias": (16,),
        "fc1.weight": (120, 400),
        "fc1.bias": (120,),
        "fc2.weight": (84, 120),
        "fc2.bias": (84,),
        "fc3.weight": (10, 84),
        "fc3.bias": (10,),
    }
    assert {tensor.dtype for tensor in weights.values()} == {np.dtype(np.float32)}


def test_images_hold_100_of_each_digit_in_mixed_order(shipped):
    _, images, labels = shipped
    assert images.shape == (1000, 28, 28)
    assert images.dtype == np.uint8
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(np.bincount(labels), [100] * 10)
    assert set(labels[:100]) == set(range(10))


def test_shipped_data_stay_below_2_5_megabytes():
    names = ("lenet5.safetensors", "mnist1000.npz")
    assert sum(len(files("qcodec.demo").joinpath(name).read_bytes()) for name in names) < 2_500_000


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 28, 28), dtype=np.float32),
        np.zeros((28, 28), dtype=np.uint8),
        np.zeros((1, 32, 32), dtype=np.uint8),
    ],
    ids=["scaled to floats", "no batch axis", "padded already"],
)
def test_images_of_another_form_are_refused(shipped, images):
    with pytest.raises(ValueError, match="images must be uint8 of shape"):
        lenet5.logits(shipped[0], images)


@pytest.mark.parametrize("shape", [(2,), (3, 1), ()])
def test_labels_that_do_not_match_the_images_are_refused(shipped, shape):
    weights, images, _ = shipped
    with pytest.raises(ValueError, match="one label per image"):
        lenet5.top1(weights, images[:3], np.zeros(shape, dtype=np.uint8))


def test_a_score_over_no_images_is_refused(shipped):
    weights, images, labels = shipped
    with pytest.raises(ValueError, match="one label per image"):
        lenet5.top1(weights, images[:0], labels[:0])
