"""Who may do what: the rules of ``-allow``.

::

    -allow 10.1.0.0/16 read,write  -allow cert:backup read  -allow unix all  -allow '*' none

A rule says whom it is for, and what they may do. The first one that fits a client counts; who fits
none may do nothing. Without rules, everybody may do everything, as in the original servers.

=================  =================================================================================
``*``              everybody
``unix``           who comes by the server's Unix socket
``10.1.0.0/16``    who comes from there; also a single address, IPv4 or IPv6
``cert:NAME``      who has shown a certificate with that common name, DNS name, e-mail address or
                   URI; ``cert:*``: any that ``-tls-ca`` accepts
=================  =================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from kt.errors import ImproperlyConfigured
from kt.server.session import Rights

if TYPE_CHECKING:
    from asyncio import BaseTransport
    from collections.abc import Iterator
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

    from kt.server.process.options import ServiceOptions

EVERYBODY: Final = "*"
UNIX: Final = "unix"
CERTIFICATE: Final = "cert:"

RIGHTS: Final = {
    "none": Rights.NONE,
    "read": Rights.READ,
    "write": Rights.WRITE,
    "admin": Rights.ADMIN,
    "scripts": Rights.SCRIPTS,
    "all": Rights.ALL,
}


class Rule(NamedTuple):
    """One rule.

    Attributes:
        who: as on the command line.
        rights: what they may do.
        network: where they are; None if it is not that.
    """

    who: str
    rights: Rights
    network: IPv4Network | IPv6Network | None

    @classmethod
    def read(cls, who: str, words: str) -> Self:
        """A rule of the command line; raises ValueError."""
        rights = Rights.NONE
        for word in words.split(","):
            if word not in RIGHTS:
                raise ValueError(f"{word!r} is no right: they are {', '.join(RIGHTS)}")
            rights |= RIGHTS[word]
        if who in (EVERYBODY, UNIX) or who.startswith(CERTIFICATE):
            return cls(who, rights, None)
        from ipaddress import ip_network  # not before it is needed: it takes long

        try:
            return cls(who, rights, ip_network(who))
        except ValueError as error:
            raise ValueError(
                f"whom it is for: *, unix, an address, a network, or cert:NAME ({error})"
            ) from None

    def fits(self, address: IPv4Address | IPv6Address | None, names: frozenset[str]) -> bool:
        """Whether it is for a client.

        Args:
            address: where it comes from; None: by a Unix socket.
            names: those in the certificate that it has shown.
        """
        if self.who.startswith(CERTIFICATE):
            name = self.who.removeprefix(CERTIFICATE)
            return bool(names) if name == EVERYBODY else name in names
        if self.network is not None:
            return address is not None and address in self.network
        return self.who == EVERYBODY or address is None


class Access:
    """The rules of a server.

    Args:
        options: the command line; it has rules.

    Raises:
        ImproperlyConfigured: a rule is none, or can never fit.
    """

    def __init__(self, options: ServiceOptions) -> None:
        self._rules = [_rule(who, words) for who, words in options.allow]
        for rule in self._rules:
            if rule.who.startswith(CERTIFICATE) and options.tls_ca is None:
                raise ImproperlyConfigured(
                    f"-allow {rule.who}: clients show certificates with -tls-ca only"
                )
            if (rule.who == UNIX and options.port != 0) or (
                rule.network is not None and options.port == 0 and options.front is None
            ):
                where = "a Unix socket" if options.port == 0 else "a TCP port"
                raise ImproperlyConfigured(f"-allow {rule.who}: this server listens at {where}")

    def rights(self, transport: BaseTransport) -> Rights:
        """What the client of a connection may do."""
        peer = transport.get_extra_info("peername")
        address = _address(peer[0]) if isinstance(peer, tuple) else None
        names = frozenset(_names(transport.get_extra_info("peercert") or {}))
        for rule in self._rules:
            if rule.fits(address, names):
                return rule.rights
        return Rights.NONE


def _rule(who: str, words: str) -> Rule:
    try:
        return Rule.read(who, words)
    except ValueError as error:
        raise ImproperlyConfigured(f"-allow {who} {words}: {error}") from None


def _address(text: str) -> IPv4Address | IPv6Address:
    """An address; one of IPv4 that comes by a socket of IPv6 is one of IPv4."""
    from ipaddress import ip_address

    address = ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _names(certificate: dict[str, Any]) -> Iterator[str]:
    """Whom a certificate is for."""
    for part in certificate.get("subject", ()):
        yield from (value for kind, value in part if kind == "commonName")
    yield from (value for _, value in certificate.get("subjectAltName", ()) if value)
