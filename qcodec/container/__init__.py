"""The .qc file: specification (FORMAT.md), index, writer, reader. Knows bytes, no codec."""
