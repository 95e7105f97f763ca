"""The one exception type for what a user did wrong; everything else is a bug of ours and shows its traceback."""


class UserError(ValueError):
    """What a user did wrong, in one sentence: what, got, allowed, next step. Tools print it and exit non-zero."""
