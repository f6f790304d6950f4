"""Certificates for tests of TLS, made anew each time."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import trustme

LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


class Authority:
    """Signs certificates, and keeps them in files of a directory.

    Attributes:
        ca: the file with its own.
        server: the file with that of 127.0.0.1 and localhost, and its key.
        client: the file with that of somebody called alice, and its key.
        context: by which clients trust it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(exist_ok=True)
        self.authority = trustme.CA()
        self.ca = str(directory / "ca.pem")
        self.authority.cert_pem.write_to_path(self.ca)
        self.server = self.issue("server.pem", "127.0.0.1", "localhost")
        self.client = self.issue("client.pem", "alice@example.org", common_name="alice")
        self.context = ssl.create_default_context(cafile=self.ca)

    def issue(
        self,
        file: str,
        *names: str,
        common_name: str | None = None,
        until: datetime.datetime | None = None,
    ) -> str:
        """The file with a new certificate for these names, and its key."""
        cert = self.authority.issue_cert(*names, common_name=common_name, not_after=until)
        path = self._directory / file
        cert.private_key_and_cert_chain_pem.write_to_path(path)
        return str(path)

    def showing(self, file: str) -> ssl.SSLContext:
        """By which clients trust it, and show this certificate."""
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(file)
        return context
