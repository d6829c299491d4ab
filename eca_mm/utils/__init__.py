"""Errors, files, signatures and shared command-line arguments; imports no other folder."""
