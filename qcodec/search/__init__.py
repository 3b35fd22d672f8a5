"""Searches of the encoder, compiled by Numba. Nothing here is needed to decode."""
