"""Exceptions of qcodec. Each message says what is wrong, where, and what can be done."""


class QCodecError(ValueError):
    """Base of all errors that qcodec raises about data.

    Attributes
    ----------
    exit_code : int
        What the command line ends with.
    """

    exit_code: int = 1


class InputError(QCodecError):
    """The caller's tensor or codec cannot be encoded as asked."""


class CorruptError(QCodecError):
    """A file or blob holds bytes that no writer writes."""

    exit_code = 2


class TruncatedError(CorruptError):
    """A file or blob ends too early."""


class UnsupportedError(QCodecError):
    """A newer format, an unknown codec, or a dtype that this version does not handle."""

    exit_code = 3


class LimitError(QCodecError):
    """Beyond a limit of the format, or of the caller."""

    exit_code = 4


class UnsafePathError(QCodecError):
    """A path taken from a file would leave its folder, or is no regular file."""

    exit_code = 2
