"""Invertible maps of floats in front of a quantizer."""
