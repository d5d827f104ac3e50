"""Exceptions that users see: one sentence that names the file, the value and the remedy."""


class GenVISError(Exception):
    """Base of all errors that this package raises on purpose.

    The command line prints the text without a traceback and ends with `exit_status`.

    Attributes:
        exit_status: Status with which the command line ends.
    """

    exit_status = 1


class InputError(GenVISError, ValueError):
    """Wrong input, which the user can correct: a file, an option, an argument."""

    exit_status = 2


class OutputError(GenVISError):
    """An output that cannot be written: full disk, missing permission, a name that is taken."""

    exit_status = 2


class TrainingDiverged(GenVISError):
    """Training that cannot go on, for example because the loss is not finite."""


class SourceLost(GenVISError):
    """A live source that ended against expectation and did not come back."""


class MissingExtraError(InputError):
    """Optional library that is not installed.

    Args:
        library: Module that could not be imported, for example ``"lightning"``.
        extra: Extra of this package that installs it, for example ``"train"``.
    """

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"This needs {library}, which is not installed: run `pip install 'genvis[{extra}]'`.")
        self._arguments = (library, extra)

    def __reduce__(self) -> tuple[type["MissingExtraError"], tuple[str, str]]:
        """Pass from process to process by the arguments instead of by the message."""
        return type(self), self._arguments
