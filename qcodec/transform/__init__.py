"""Transforms: one class per file, the kernel of the same name in ``csrc/transform``."""
