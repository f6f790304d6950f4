"""The storage engines under the bundled servers: thin bindings to the Cabinet libraries.

``kyoto`` stands on Kyoto Cabinet and serves kt-tycoon, ``tokyo`` stands on Tokyo Cabinet and
serves kt-tyrant. Both have a compiled module, ``_engine``, which is optional: a system without the
libraries or a compiler has neither, and the servers then say what to install.
"""

from __future__ import annotations

from kt.errors import KTError


class EngineError(KTError):
    """The engine refused an operation, or found nothing to operate on.

    ``str(error)`` is the text that Kyoto Tycoon's replies carry: ``DB: CODE: NAME: MESSAGE``.

    Attributes:
        code: the library's number for the failure.
        name: the library's name for that number, such as ``no record``.
        message: what happened, in the library's words.
    """

    def __init__(self, code: int, name: str, message: str) -> None:
        super().__init__(f"DB: {code}: {name}: {message}")
        self.code = code
        self.name = name
        self.message = message


class LargeValue(KTError):
    """A thread in a hurry, which serves many, has to leave this to one that may take its time.

    Nothing has been done.
    """


class FileLocked(KTError):
    """Another process has locked the file of a database, which was not to be waited for."""
