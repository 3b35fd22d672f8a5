"""The .qc file: its specification (FORMAT.md), index, writer and reader. Knows ids and bytes, no codec."""
