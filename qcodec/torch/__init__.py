"""qcodec for PyTorch: ``pip install "qcodec[torch]"``. Nothing else in qcodec imports torch."""

from qcodec.torch.three_lc import ExchangeError, Statistics, ThreeLCState, three_lc_hook

__all__ = ["ExchangeError", "Statistics", "ThreeLCState", "three_lc_hook"]
