"""Codecs for what changes while a model trains: gradients, and deltas of weights."""

from qcodec.traffic.three_lc import ThreeLC

__all__ = ["ThreeLC"]
