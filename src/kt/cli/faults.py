"""What may end a verb, and the exit status that it gives.

======  ============================================================================
status  meaning
======  ============================================================================
0       done; yes
1       there is no such record; no
2       the command line makes no sense
3       the server or the file cannot be reached, or reports that the operation failed
======  ============================================================================
"""

from __future__ import annotations

from typing import Final

from kt.errors import KTError

OK: Final = 0
NO: Final = 1
USAGE: Final = 2
FAILED: Final = 3


class Usage(KTError):
    """What was asked for makes no sense."""


class No(KTError):
    """The answer is no: there is no such record, or it is not as it would have to be."""
