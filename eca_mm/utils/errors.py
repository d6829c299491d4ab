"""The error type whose message is written for the user."""


class UserError(RuntimeError):
    """An error that the user can fix; its one-sentence message says how.

    Command-line tools print the message alone and exit with status 1.
    """
