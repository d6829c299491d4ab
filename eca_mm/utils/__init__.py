"""Errors, files, signatures and the grammar of the command lines; imports nothing of ours."""
