"""memcached's protocol at a port of its own: the plug-in server that comes with Kyoto Tycoon."""
