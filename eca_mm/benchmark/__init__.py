"""The speed of networks: timing, memory, counts, and reports."""
