"""Which options of the servers mean something where their databases are on clusters."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import fields
from typing import Final

from kt.cluster.engines import is_cluster_url, parse_cluster_url
from kt.errors import ImproperlyConfigured
from kt.net.endpoint import without_login
from kt.server.process.options import Flag, ServiceOptions
from kt.server.tycoon.options import FLAGS as TYCOON_FLAGS
from kt.server.tycoon.options import TycoonOptions
from kt.server.tyrant.options import FLAGS as TYRANT_FLAGS
from kt.server.tyrant.options import TyrantOptions

OF_FILES: Final = {
    *("master_tls_ca", "master_tls_cert", "master_tls_key"),
    *("restore_to", "restore_from"),
}
"""Options of all servers that mean nothing here."""
OF_SCRIPTS: Final = {"script", "script_seconds", "script_memory"}
"""Those that do for kt-tycoon only."""

OF_TYRANT: Final = {"mask", "kill"}
"""Options of kt-tyrant that do mean something."""


def check_tycoon_options(options: TycoonOptions) -> None:
    """See to it that nothing is asked of a gateway that it does not do.

    Raises:
        ImproperlyConfigured: a database is not on a cluster, or an option is about files, update
            logs or replication; the message says which.
        ArgumentError: a URL is none.
    """
    _check(options, TYCOON_FLAGS, options.databases, OF_SCRIPTS)


def check_tyrant_options(options: TyrantOptions) -> None:
    """The same for kt-tyrant."""
    _check(options, TYRANT_FLAGS, [options.database], OF_TYRANT)


def _check(
    options: ServiceOptions, flags: Sequence[Flag], databases: Sequence[str], own: Set[str]
) -> None:
    """See to it, where options of these names do mean something."""
    if not all(map(is_cluster_url, databases)):
        shown = ", ".join(map(without_login, databases))
        raise ImproperlyConfigured(f"these databases are not all on clusters: {shown}")
    given = dict.fromkeys(flag.name for flag in flags if _means_nothing(flag, options, own))
    if given:
        raise ImproperlyConfigured(f"not for databases on a cluster: {', '.join(given)}")
    for url in databases:
        parse_cluster_url(url)


def _means_nothing(flag: Flag, options: ServiceOptions, own: Set[str]) -> bool:
    """Tell whether it is given and is about something that a gateway has not."""
    known = {field.name: field for field in fields(options)}[flag.field]
    of_all = {field.name for field in fields(ServiceOptions)} - OF_FILES - OF_SCRIPTS
    given: bool = getattr(options, flag.field) != known.default
    return given and flag.field not in of_all | own
