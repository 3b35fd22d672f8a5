"""A small trained network and its test images, to try a codec on without any download."""
