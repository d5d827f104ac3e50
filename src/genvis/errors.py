"""The one exception that users see."""


class InputError(ValueError):
    """Wrong input: one clear sentence that names the file, the value and the remedy.

    Every public function raises it for input that a user can mend. The command line prints its text
    without a traceback and exits with status 2.
    """


class MissingExtraError(InputError):
    """An optional library is not installed.

    Args:
        library: The module that could not be imported, for example ``"lightning"``.
        extra: The extra of this package that brings it, for example ``"train"``.
    """

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"This needs {library}, which is not installed: run `pip install 'genvis[{extra}]'`.")
        self._arguments = (library, extra)

    def __reduce__(self) -> tuple[type["MissingExtraError"], tuple[str, str]]:
        """Pass from process to process by the arguments instead of by the message."""
        return type(self), self._arguments
