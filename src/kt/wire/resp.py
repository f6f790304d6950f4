"""RESP2, the protocol of Valkey and Redis: commands out, replies in.

A command is an array of strings; a reply is one of five things::

    command   *2 CR LF $3 CR LF GET CR LF $1 CR LF k CR LF

    +text CR LF           a short text, such as OK          bytes
    -KIND text CR LF      what went wrong                   RespError
    :number CR LF         64 bits                           int
    $size CR LF data CR LF, or $-1 CR LF for none           bytes or None
    *count CR LF REPLY... , or *-1 CR LF for none           list or None

Source: the protocol's specification at valkey.io, and what the servers really send.
"""

from __future__ import annotations

from kt.wire.codec import pack_command, read_resp_reply
from kt.wire.resp_error import RespError

__all__ = ["pack_command", "read_resp_reply", "RespError"]
