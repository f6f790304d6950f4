# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""The kernels in C: the regular case of what `_pure` does, without an object per record.

The names, arguments, results and errors are those of `_pure`, and a test compares them. What is
rare (odd types of arguments, HTTP heads that are not in the servers' own order, chunked bodies...)
is left to the pure functions, so that it is decided in one place.

One translation unit, by topic:

=====================  ==================================================================
_values.pxi            views of keys and values, growing output, buffers
_tycoon.pxi            Kyoto Tycoon, binary
_columns.pxi           columns: names and values in lines
_rpc.pxi               RPC messages and HTTP requests
_tyrant.pxi            Tokyo Tyrant
_resp.pxi              RESP
=====================  ==================================================================
"""

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

include "_values.pxi"
include "_tycoon.pxi"
include "_columns.pxi"
include "_rpc.pxi"
include "_tyrant.pxi"
include "_resp.pxi"
