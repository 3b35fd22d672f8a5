"""Searches of the encoder, compiled by Numba; nothing on the way to decode imports them."""
