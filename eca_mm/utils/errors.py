"""The error type whose message is written for the user."""


class UserError(RuntimeError):
    """Something that the user can put right; the message is one sentence that says how.

    Command-line tools print the message alone and exit with status 1.
    """
