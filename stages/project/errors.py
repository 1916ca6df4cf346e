"""The one exception that is meant for the user."""


class InputError(Exception):
    """Something the user gave is wrong.

    The message is one line that says what is wrong, where, and what would be right. It quotes ids and
    counts, never note text. Stage scripts print it and exit with status 1, without a traceback.
    """
