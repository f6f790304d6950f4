"""The kernels in pure Python: what `kt.wire.codec` exports when nothing could be compiled."""

from __future__ import annotations

from kt.wire.http import read_http_request
from kt.wire.kernels._pure_resp import pack_command, read_resp_reply
from kt.wire.kernels._pure_rpc import (
    decode_bulk,
    decode_columns,
    decode_field,
    decode_keys,
    decode_places,
    encode_columns,
    encode_columns_as,
    pack_rpc,
    pack_rpc_reply,
    read_rpc_reply,
)
from kt.wire.kernels._pure_tycoon import (
    decode_details,
    decode_pairs,
    decode_records,
    pack_details,
    pack_get,
    pack_key_details,
    pack_keys,
    pack_pairs,
    pack_records,
    pack_remove,
    pack_set,
    read_get_reply,
    read_remove_bulk_reply,
    read_set_bulk_reply,
    skip_records,
)
from kt.wire.kernels._pure_tyrant import (
    decode_item_pairs,
    decode_items,
    pack_item_pairs,
    pack_items,
    pack_key_command,
    pack_record_command,
    pack_record_commands,
    read_blob_reply,
    skip_items,
)
from kt.wire.kernels._pure_values import cut, decode_key, dump_value, encode_key, load_value

__all__ = [
    # keys and values
    "cut",
    "encode_key",
    "decode_key",
    "dump_value",
    "load_value",
    # Kyoto Tycoon, binary
    "pack_get",
    "pack_set",
    "pack_remove",
    "pack_records",
    "pack_details",
    "pack_keys",
    "pack_key_details",
    "pack_pairs",
    "read_get_reply",
    "read_set_bulk_reply",
    "read_remove_bulk_reply",
    "skip_records",
    "decode_records",
    "decode_details",
    "decode_pairs",
    # Kyoto Tycoon, RPC
    "encode_columns",
    "encode_columns_as",
    "pack_rpc",
    "pack_rpc_reply",
    "read_rpc_reply",
    "read_http_request",
    "decode_columns",
    "decode_field",
    "decode_keys",
    "decode_bulk",
    "decode_places",
    # Tokyo Tyrant
    "pack_key_command",
    "pack_record_command",
    "pack_record_commands",
    "pack_items",
    "pack_item_pairs",
    "read_blob_reply",
    "skip_items",
    "decode_items",
    "decode_item_pairs",
    # RESP
    "pack_command",
    "read_resp_reply",
]
