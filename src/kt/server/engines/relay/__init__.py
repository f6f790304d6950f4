"""Native threads of a gateway: they carry plain requests to the nodes of a cluster and back."""
