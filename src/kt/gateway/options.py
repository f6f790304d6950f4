"""Which options of kt-tycoon mean something where its databases are on clusters."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from kt.cluster.settings import is_cluster_url, parse_cluster_url
from kt.errors import ImproperlyConfigured
from kt.net.endpoint import without_login
from kt.server.process.options import Flag, ServiceOptions
from kt.server.tycoon.options import FLAGS, TycoonOptions

OF_FILES_AND_SCRIPTS: Final = {
    *("script", "script_seconds", "script_memory"),
    *("master_tls_ca", "master_tls_cert", "master_tls_key"),
    *("restore_to", "restore_from"),
}
"""Options of all servers that mean nothing here."""


def check_gateway_options(options: TycoonOptions) -> None:
    """See to it that nothing is asked of a gateway that it does not do.

    Raises:
        ImproperlyConfigured: a database is not on a cluster, or an option is about files, update
            logs, scripts or replication; the message says which.
        ArgumentError: a URL is none.
    """
    if not all(map(is_cluster_url, options.databases)):
        shown = ", ".join(map(without_login, options.databases))
        raise ImproperlyConfigured(f"these databases are not all on clusters: {shown}")
    if given := [flag.name for flag in FLAGS if _means_nothing(flag, options)]:
        raise ImproperlyConfigured(f"not for databases on a cluster: {', '.join(given)}")
    for url in options.databases:
        parse_cluster_url(url)


def _means_nothing(flag: Flag, options: TycoonOptions) -> bool:
    """Tell whether it is given and is about something that a gateway has not."""
    known = {field.name: field for field in fields(TycoonOptions)}[flag.field]
    of_all = flag.field in {field.name for field in fields(ServiceOptions)}
    given: bool = getattr(options, flag.field) != known.default
    return given and (not of_all or flag.field in OF_FILES_AND_SCRIPTS)
