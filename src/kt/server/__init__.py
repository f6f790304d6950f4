"""The bundled servers, kt-tycoon and kt-tyrant."""
