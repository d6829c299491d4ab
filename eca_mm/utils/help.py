"""The help of command lines."""
import argparse


class HelpFormatter(argparse.HelpFormatter):
    """argparse's, but an example is printed in one line and so can be copied.

    argparse breaks lines at hyphens too, of which the names of our configs have many.
    """

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith('example: '):
            return text
        return super()._fill_text(text, width, indent)
