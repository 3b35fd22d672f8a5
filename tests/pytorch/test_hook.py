"""The hook in one process: a group of one rank, and buckets made by hand."""

from datetime import timedelta
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install '.[torch]'")
dist = torch.distributed
if not dist.is_available() or not dist.is_gloo_available():
    pytest.skip("this build of torch has no gloo", allow_module_level=True)

import qcodec  # noqa: E402
from qcodec.torch import ExchangeError, Statistics, ThreeLCState, three_lc_hook  # noqa: E402
from qcodec.traffic import ThreeLC  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def group(tmp_path_factory):
    store = tmp_path_factory.mktemp("store") / "store"
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def bucket_of(gradients, parameters, index=0, dtype=torch.float32):
    """What DDP gives to a hook: gradients in one flat buffer, in the order of parameters."""
    flat = torch.cat([torch.as_tensor(g, dtype=dtype).reshape(-1) for g in gradients])
    return SimpleNamespace(buffer=lambda: flat, parameters=lambda: parameters, index=lambda: index)


def network():
    return torch.nn.Linear(5, 3)  # weight (3, 5), bias (3,)


def gradients(seed):
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, (3, 5)).astype(np.float32), rng.uniform(-9, 9, 3).astype("f4")]


def step(state, net, seed, order=(0, 1), dtype=torch.float32):
    parameters = list(net.parameters())
    made = gradients(seed)
    bucket = bucket_of([made[k] for k in order], [parameters[k] for k in order], dtype=dtype)
    return three_lc_hook(state, bucket).wait()


def test_average_is_what_the_messages_of_each_parameter_say():
    net, state = network(), ThreeLCState(sparsity=1.5)
    weight, bias = ThreeLC(15, 1.5), ThreeLC(3, 1.5)
    sent = 0
    for seed in range(4):
        w, b = gradients(seed)
        messages = [weight.encode(w.ravel()), bias.encode(b)]
        expected = np.concatenate([ThreeLC.decode(m) for m in messages])
        np.testing.assert_array_equal(step(state, net, seed).numpy(), expected)
        sent += sum(map(len, messages))
    s = state.statistics
    assert (s.world_size, s.buckets, s.values, s.raw_bytes) == (1, 4, 72, 288)
    assert (s.message_bytes, s.size_bytes) == (sent, 64)
    assert s.bits_per_value == 8 * sent / 72
    assert s.ratio == 288 / sent
    state.reset_statistics()
    assert state.statistics == Statistics(1)


def test_residuals_follow_their_parameters_when_buckets_are_cut_anew():
    net, one, other = network(), ThreeLCState(), ThreeLCState()
    step(one, net, 0)
    step(other, net, 0, order=(1, 0))
    expected = step(one, net, 1)
    turned = step(other, net, 1, order=(1, 0))
    np.testing.assert_array_equal(turned.numpy(), torch.cat([expected[15:], expected[:15]]))
    parameters = list(net.parameters())
    third = gradients(2)
    whole = step(one, net, 2)
    halves = [
        three_lc_hook(other, bucket_of([third[k]], [parameters[k]], k)).wait() for k in (0, 1)
    ]
    np.testing.assert_array_equal(torch.cat(halves).numpy(), whole.numpy())


def test_bfloat16_gradients_keep_a_float32_residual():
    net, state = network(), ThreeLCState()
    context = ThreeLC(15, dtype="bfloat16")
    w = gradients(0)[0].astype(ml_dtypes.bfloat16)
    averaged = step(state, net, 0, dtype=torch.bfloat16)
    assert averaged.dtype == torch.bfloat16
    expected = ThreeLC.decode(context.encode(w.ravel()))
    np.testing.assert_array_equal(averaged[:15].float().numpy(), expected)
    residual = state.state_dict(net)["residuals"]["weight"]
    assert residual["dtype"] == "bfloat16"
    np.testing.assert_array_equal(residual["residual"].numpy(), context.residual)


def test_restored_state_sends_the_same(tmp_path):
    net, one = network(), ThreeLCState(sparsity=1.9)
    for seed in range(3):
        step(one, net, seed)
    torch.save(one.state_dict(net), tmp_path / "state.pt")
    expected = [step(one, net, seed).numpy().copy() for seed in (3, 4)]
    copy, other = network(), ThreeLCState()
    other.load_state_dict(copy, torch.load(tmp_path / "state.pt", weights_only=True))
    assert other.sparsity == one.sparsity
    for seed, average in zip((3, 4), expected, strict=True):
        np.testing.assert_array_equal(step(other, copy, seed).numpy(), average)


def test_state_that_is_not_of_the_module_is_refused():
    net, state = network(), ThreeLCState()
    step(state, net, 0)
    saved = state.state_dict(net)
    with pytest.raises(qcodec.InputError, match="no parameter weight"):
        state.load_state_dict(torch.nn.ReLU(), saved)
    with pytest.raises(qcodec.InputError, match=r"of shape \(15,\)"):
        state.load_state_dict(torch.nn.Linear(5, 4), saved)
    with pytest.raises(qcodec.InputError, match="version 1"):
        state.load_state_dict(net, saved | {"version": 2})
    hurt = {"weight": {"dtype": "float32", "residual": torch.full((15,), float("nan"))}}
    with pytest.raises(qcodec.InputError, match="not finite"):
        state.load_state_dict(net, saved | {"residuals": hurt})


def test_gradient_that_is_not_finite_ends_the_use_of_the_state():
    net, state = network(), ThreeLCState()
    parameters = list(net.parameters())
    bad = bucket_of([np.zeros((3, 5)), [0, np.inf, 0]], parameters, 7)
    with pytest.raises(ExchangeError, match=r"bucket 7: rank 0 has no finite .* element \[1\]"):
        three_lc_hook(state, bad)
    with pytest.raises(ExchangeError, match="an earlier exchange has failed: bucket 7"):
        step(state, net, 0)


def test_gradients_of_other_dtypes_and_foreign_arguments_are_refused():
    with pytest.raises(qcodec.UnsupportedError, match=r"not torch\.float16"):
        step(ThreeLCState(), network(), 0, dtype=torch.float16)
    with pytest.raises(ValueError, match="sparsity"):
        ThreeLCState(sparsity=2.0)
    with pytest.raises(ValueError, match="timeout must be positive"):
        ThreeLCState(timeout=0)
    assert ThreeLCState(dist.group.WORLD, 1.25, timedelta(seconds=2)).timeout.seconds == 2


def test_break_even_worked_out_by_hand():
    # Ring: 2 * 3 / 4 of 4000 bytes = 6000. Messages and sizes: 3 * (100 + 20) = 360. The
    # difference, 5640 bytes, takes 0.01 s at 4,512,000 bit/s.
    s = Statistics(4, 1, 1000, 100, 4000, 20, 0.01, 1.0)
    assert s.break_even_bits_per_second == pytest.approx(4_512_000)
    assert s.bits_per_value == pytest.approx(0.8)
    assert s.ratio == pytest.approx(40)
    # So many ranks that messages of all outweigh the ring: nothing to gain at any speed.
    assert Statistics(200, 1, 1000, 100, 4000, 20, 0.01).break_even_bits_per_second == 0
