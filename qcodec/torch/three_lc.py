"""Gradients of DistributedDataParallel as 3LC messages: a communication hook.

Collectives run one after another inside the hook, not in the background: their order is what ranks
must agree on, and one that is started when another ends would follow the machine's timing.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist

from qcodec._arrays import numpy_dtype
from qcodec.errors import InputError, QCodecError, UnsupportedError
from qcodec.traffic import ThreeLC

_DTYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
_REFUSED = -1  # in place of sizes: this rank has no message


class ExchangeError(RuntimeError):
    """An exchange between ranks failed: one is dead, stuck, out of step, or has no finite gradient.

    The state cannot be used any further: ranks may disagree on what has been sent.
    """


@dataclass(frozen=True)
class Statistics:
    """What one rank has sent since the start, or since `ThreeLCState.reset_statistics`.

    Attributes
    ----------
    world_size : int
        Ranks that exchange messages.
    buckets : int
        Calls of the hook.
    values : int
        State changes: elements of all gradients of this rank.
    message_bytes : int
        Messages of this rank, headers included, each counted once.
    raw_bytes : int
        The same gradients uncompressed.
    size_bytes : int
        Sizes of messages, sent ahead of them.
    codec_seconds : float
        CPU time of encoding, decoding and averaging.
    exchange_seconds : float
        In collectives, by the clock, waiting for other ranks included.
    """

    world_size: int = 1
    buckets: int = 0
    values: int = 0
    message_bytes: int = 0
    raw_bytes: int = 0
    size_bytes: int = 0
    codec_seconds: float = 0.0
    exchange_seconds: float = 0.0

    @property
    def bits_per_value(self) -> float:
        """Bits per state change, headers included."""
        return 8 * self.message_bytes / max(self.values, 1)

    @property
    def ratio(self) -> float:
        """Uncompressed gradients to messages."""
        return self.raw_bytes / max(self.message_bytes, 1)

    @property
    def break_even_bits_per_second(self) -> float:
        """Link speed of a rank below which 3LC is faster than an uncompressed ring all-reduce.

        The ring brings 2 (N - 1) / N of the gradient to each of N ranks, 3LC messages and sizes of
        N - 1. At this speed the difference takes as long as the codec. Zero if nothing is saved.
        """
        others = self.world_size - 1
        ring = 2 * others * self.raw_bytes / self.world_size
        saved = ring - others * (self.message_bytes + self.size_bytes)
        return max(0.0, 8 * saved / self.codec_seconds) if self.codec_seconds > 0 else 0.0


class ThreeLCState:
    """What `three_lc_hook` keeps between steps: a context for each parameter, and statistics.

    Contexts belong to parameters, as in the paper: DDP cuts buckets anew after the first step, and
    the residual of each parameter moves along. Every rank makes its state at the same point of the
    program.

    Parameters
    ----------
    process_group : ProcessGroup, optional
        For CPU tensors, such as gloo. Default: a new gloo group of all ranks with this `timeout`.
        With another group, its own timeout counts as well.
    sparsity : float, default 1.75
        1 <= sparsity < 2, see `qcodec.traffic.ThreeLC`.
    timeout : timedelta or float, default 300 seconds
        How long one bucket may wait for other ranks.

    Raises
    ------
    TypeError, ValueError
        An argument is out of range, or the group is one for GPUs.
    """

    def __init__(
        self,
        process_group: Any = None,
        sparsity: float = 1.75,
        timeout: timedelta | float = 300.0,
    ) -> None:
        self.timeout = timeout if isinstance(timeout, timedelta) else timedelta(seconds=timeout)
        if self.timeout <= timedelta(0):
            raise ValueError(f"timeout must be positive, got {timeout}")
        self.sparsity = ThreeLC(0, sparsity).sparsity
        if process_group is None:
            process_group = dist.new_group(backend="gloo", timeout=self.timeout)
        elif dist.get_backend(process_group) == "nccl":
            raise ValueError("messages are CPU tensors: use a group of gloo, not nccl")
        self.process_group = process_group
        self.rank: int = dist.get_rank(process_group)
        self.world_size: int = dist.get_world_size(process_group)
        # The parameter is kept as well, so that no other can get its id.
        self._contexts: dict[tuple[int, str], tuple[torch.Tensor, ThreeLC]] = {}
        self._statistics = Statistics(self.world_size)
        self._scratch = np.empty((2, 0), np.float32)  # fresh pages cost more than decoding
        self._failure: str | None = None

    @property
    def statistics(self) -> Statistics:
        """What this rank has sent so far."""
        return self._statistics

    def reset_statistics(self) -> None:
        """Count from here."""
        self._statistics = Statistics(self.world_size)

    def state_dict(self, module: torch.nn.Module) -> dict[str, Any]:
        """Residuals of this rank, by parameter names of `module`; each rank has its own."""
        residuals = {}
        for name, parameter in module.named_parameters():
            for dtype in _DTYPES.values():
                held = self._contexts.get((id(parameter), dtype))
                if held is not None:
                    residual = torch.from_numpy(held[1].residual)
                    residuals[name] = {"dtype": dtype, "residual": residual}
        return {"version": 1, "sparsity": self.sparsity, "residuals": residuals}

    def load_state_dict(self, module: torch.nn.Module, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, on the same rank.

        Raises
        ------
        InputError
            The state is not of this module, or damaged; nothing is changed.
        """
        if set(state) != {"version", "sparsity", "residuals"} or state["version"] != 1:
            raise InputError("this is no state of version 1")
        parameters = dict(module.named_parameters())
        contexts = {}
        for name, entry in state["residuals"].items():
            if name not in parameters:
                raise InputError(f"the module has no parameter {name}")
            parameter, dtype = parameters[name], entry["dtype"]
            if dtype not in _DTYPES.values():
                raise InputError(f"{name}: dtype {dtype}")
            context = ThreeLC(parameter.numel(), dtype=dtype)
            fields = {"sparsity": state["sparsity"], "residual": entry["residual"].numpy()}
            context.load_state_dict(context.state_dict() | fields)
            contexts[id(parameter), dtype] = (parameter, context)
        self._contexts = contexts
        self.sparsity = float(state["sparsity"])

    def _parts(
        self, parameters: list[torch.Tensor], flat: npt.NDArray[Any], dtype: str
    ) -> Iterator[tuple[ThreeLC, slice]]:
        """Context and place in a flat bucket of each parameter."""
        at = 0
        for parameter in parameters:
            key = (id(parameter), dtype)
            n = parameter.numel()
            if key not in self._contexts:
                self._contexts[key] = (parameter, ThreeLC(n, self.sparsity, dtype))
            yield self._contexts[key][1], slice(at, at + n)
            at += n
        if at != flat.size:
            raise UnsupportedError(f"a bucket of {flat.size} elements has parameters of {at}")

    def _average(self, bucket: dist.GradBucket) -> torch.Tensor:
        if self._failure is not None:
            raise ExchangeError(f"an earlier exchange has failed: {self._failure}")
        buffer: torch.Tensor = bucket.buffer()
        if buffer.dtype not in _DTYPES:
            raise UnsupportedError(f"3LC takes float32 and bfloat16 gradients, not {buffer.dtype}")
        dtype = _DTYPES[buffer.dtype]
        flat = _numpy(buffer.detach().cpu(), dtype)
        started = time.thread_time()
        parts = list(self._parts(bucket.parameters(), flat, dtype))
        problem: QCodecError | None = None
        messages: list[Any] = []
        try:
            messages = [context.encode(flat[place]) for context, place in parts]
        except InputError as error:
            problem = error
        encoded, left = time.thread_time(), time.perf_counter()
        what = f"bucket {bucket.index()}"
        deadline = time.monotonic() + self.timeout.total_seconds()
        most = [context.max_bytes for context, _ in parts]
        sizes = self._exchange_sizes(messages, most, what, deadline, problem)
        payloads = self._exchange_messages(b"".join(messages), sizes, what, deadline)
        exchanged, back = time.thread_time(), time.perf_counter()
        mean = self._mean(payloads, sizes, [place for _, place in parts], flat.size, what)
        # Adding in float32 and rounding once, whatever the bucket's dtype.
        buffer.copy_(torch.from_numpy(mean))
        ended = time.thread_time()
        s = self._statistics
        self._statistics = replace(
            s,
            buckets=s.buckets + 1,
            values=s.values + flat.size,
            message_bytes=s.message_bytes + sum(map(len, messages)),
            raw_bytes=s.raw_bytes + flat.nbytes,
            size_bytes=s.size_bytes + 8 * len(parts),
            codec_seconds=s.codec_seconds + (encoded - started) + (ended - exchanged),
            exchange_seconds=s.exchange_seconds + (back - left),
        )
        return buffer

    def _exchange_sizes(
        self,
        messages: list[Any],
        most: list[int],
        what: str,
        deadline: float,
        problem: QCodecError | None,
    ) -> npt.NDArray[np.int64]:
        """Bytes of all messages, shape (ranks, parameters)."""
        mine = [_REFUSED] * len(most) if problem else [len(m) for m in messages]
        out = [torch.empty(len(most), dtype=torch.int64) for _ in range(self.world_size)]
        self._wait(
            lambda: dist.all_gather(
                out, torch.tensor(mine), group=self.process_group, async_op=True
            ),
            what,
            deadline,
        )
        sizes: npt.NDArray[np.int64] = torch.stack(out).numpy()
        refused = [k for k in range(self.world_size) if (sizes[k] == _REFUSED).any()]
        if refused:
            reason = f"{what}: rank {refused[0]} has no finite gradient"
            raise self._fail(f"{reason}: {problem}" if problem else reason) from problem
        if (sizes < 1).any() or (sizes > np.array(most)).any():
            raise self._fail(f"{what}: sizes of messages that no rank sends")
        return sizes

    def _exchange_messages(
        self, mine: bytes, sizes: npt.NDArray[np.int64], what: str, deadline: float
    ) -> list[npt.NDArray[np.uint8]]:
        """The messages of each rank in one piece; `all_gather` of gloo wants equal lengths."""
        received = sizes.sum(axis=1).tolist()
        send = torch.frombuffer(bytearray(mine * self.world_size), dtype=torch.uint8)
        out = torch.empty(sum(received), dtype=torch.uint8)
        self._wait(
            lambda: dist.all_to_all_single(
                out,
                send,
                received,
                [len(mine)] * self.world_size,
                group=self.process_group,
                async_op=True,
            ),
            what,
            deadline,
        )
        return [part.numpy() for part in out.split(received)]

    def _mean(
        self,
        payloads: list[npt.NDArray[np.uint8]],
        sizes: npt.NDArray[np.int64],
        places: list[slice],
        n: int,
        what: str,
    ) -> npt.NDArray[np.float32]:
        """The average in the order of ranks, so that it is the same on all of them."""
        if self._scratch.shape[1] < n:
            self._scratch = np.empty((2, n), np.float32)
        total: npt.NDArray[np.float32] = self._scratch[0, :n]
        values: npt.NDArray[np.float32] = self._scratch[1, :n]
        for rank, payload in enumerate(payloads):
            target = values if rank else total
            at = 0
            for place, size in zip(places, sizes[rank].tolist(), strict=True):
                try:
                    ThreeLC.decode(payload[at : at + size], out=target[place])
                except QCodecError as error:
                    raise self._fail(f"{what}: a message of rank {rank}: {error}") from error
                at += size
            if rank:
                total += values
        total /= np.float32(self.world_size)
        return total

    def _wait(self, start: Any, what: str, deadline: float) -> None:
        left = max(deadline - time.monotonic(), 0.001)
        began = time.monotonic()
        try:
            done = start().wait(timedelta(seconds=left))
        except RuntimeError as error:
            reason, after = str(error).split("\n")[0], time.monotonic() - began
            raise self._fail(
                f"{what}: rank {self.rank} of {self.world_size} has lost the others after "
                f"{after:.1f} s (timeout {self.timeout.total_seconds():g} s); one is dead, stuck "
                f"or out of step: {reason}"
            ) from error
        if done is False:
            raise self._fail(f"{what}: the exchange did not complete")

    def _fail(self, reason: str) -> ExchangeError:
        self._failure = reason
        return ExchangeError(f"3LC, {reason}")


def three_lc_hook(
    state: ThreeLCState, bucket: dist.GradBucket
) -> torch.futures.Future[torch.Tensor]:
    """Average a bucket over all ranks: ``ddp.register_comm_hook(state, three_lc_hook)``.

    Each rank sends 3LC messages of its gradients and keeps what they leave out for the next step.
    All ranks decode the same bytes and add them in the same order, so parameters stay equal bit by
    bit.

    Parameters
    ----------
    state : ThreeLCState
        Of this rank.
    bucket : torch.distributed.GradBucket
        float32 or bfloat16 gradients.

    Returns
    -------
    Future
        The bucket with the averages; it is complete.

    Raises
    ------
    ExchangeError
        A rank is dead, stuck or out of step, or its gradient is not finite. No rank waits longer
        than the timeout.
    UnsupportedError
        Gradients of another dtype.
    """
    future: torch.futures.Future[torch.Tensor] = torch.futures.Future()
    future.set_result(state._average(bucket))
    return future


def _numpy(tensor: torch.Tensor, dtype: str) -> npt.NDArray[Any]:
    if dtype == "float32":
        array: npt.NDArray[Any] = tensor.numpy()
        return array
    narrow: npt.NDArray[Any] = tensor.view(torch.int16).numpy()
    return narrow.view(numpy_dtype("BF16"))
